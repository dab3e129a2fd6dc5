import { invalidOption, wholeNumber } from './option-checks.js';
import { shortenMethods, type ShortenMethod } from './shortened-dataset.js';
import { breakModes, type BreakMode } from './token-blocks.js';

/** How `planLmBatches` cuts a text into samples and groups them. */
export interface LmBatchOptions {
  /** Where samples end (`--sample-break-mode`). */
  readonly breakMode: BreakMode;
  /** Tokens of context and sample together (`--tokens-per-sample` as on the command line). */
  readonly tokensPerSample: number;
  /** Tokens of context carried from sample to sample (`--context-window`); 0 carries none. */
  readonly contextWindow: number;
  /**
   * Rows times the longest sample of a batch, context not counted (`--max-tokens`); -1 is no limit, and 0 the
   * default.
   *
   * @defaultValue 36000, also when `batchSize` is given, as in fairseq's evaluation
   */
  readonly maxTokens?: number | undefined;
  /** Rows of a batch (`--batch-size`). @defaultValue no limit */
  readonly batchSize?: number | undefined;
  /** Longer samples (context not counted) are left out. @defaultValue no limit */
  readonly maxPositions?: number | undefined;
  /** Put `<s>` before the source of each sample; it is not predicted (`--add-bos-token`). @defaultValue false */
  readonly addBos?: boolean | undefined;
  /** What happens to sentences longer than a sample (`--shorten-method`). @defaultValue `none` */
  readonly shortenMethod?: ShortenMethod | undefined;
  /** Seed of `random_crop` (`--seed`). @defaultValue 1 */
  readonly shortenSeed?: number | undefined;
  /** Into how many parts the batches are divided (`--num-shards`). @defaultValue 1 */
  readonly numShards?: number | undefined;
  /** Which part this is, from 0 (`--shard-id`). @defaultValue 0 */
  readonly shardId?: number | undefined;
}

/** `cfg.dataset.max_tokens or 36000` in `fairseq_cli/eval_lm.py`. */
const DEFAULT_MAX_TOKENS = 36_000;

/** The options with every default filled in. */
export type CheckedLmBatchOptions = {
  readonly [Name in keyof LmBatchOptions]-?: NonNullable<LmBatchOptions[Name]>;
};

/** Fills in the defaults. @throws {@link BinarizerError} `OPTION_INVALID` */
export function checkLmBatchOptions(options: LmBatchOptions): CheckedLmBatchOptions {
  const { breakMode, tokensPerSample, contextWindow } = options;
  if (!breakModes.includes(breakMode)) throw invalidOption('breakMode', breakMode, breakModes.join(', '));
  wholeNumber('tokensPerSample', tokensPerSample, 1);
  wholeNumber('contextWindow', contextWindow, 0);
  if (contextWindow >= tokensPerSample) {
    throw invalidOption('contextWindow', contextWindow, `less than tokensPerSample (${tokensPerSample})`);
  }
  const shortenMethod = options.shortenMethod ?? 'none';
  if (!shortenMethods.includes(shortenMethod)) {
    throw invalidOption('shortenMethod', shortenMethod, shortenMethods.join(', '));
  }
  const numShards = wholeNumber('numShards', options.numShards ?? 1, 1);
  return {
    breakMode,
    tokensPerSample,
    contextWindow,
    maxTokens: wholeNumber(
      'maxTokens',
      options.maxTokens === 0 ? DEFAULT_MAX_TOKENS : (options.maxTokens ?? DEFAULT_MAX_TOKENS),
      -1,
    ),
    batchSize: wholeNumber('batchSize', options.batchSize ?? -1, -1),
    maxPositions: wholeNumber('maxPositions', options.maxPositions ?? Number.MAX_SAFE_INTEGER, 1),
    addBos: options.addBos ?? false,
    shortenMethod,
    shortenSeed: wholeNumber('shortenSeed', options.shortenSeed ?? 1, 0),
    numShards,
    shardId: wholeNumber('shardId', options.shardId ?? 0, 0, numShards - 1),
  };
}
