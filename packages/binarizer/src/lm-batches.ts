import { cutBatches, orderBySize, orderOfText } from './batch-order.js';
import {
  carriedAfter,
  carriedIntoBatches,
  carryOn,
  contextBefore,
  startOf,
  type ContextRule,
} from './carried-context.js';
import type { Dictionary } from './dictionary.js';
import { BinarizerError } from './errors.js';
import { checkLmBatchOptions, type CheckedLmBatchOptions, type LmBatchOptions } from './lm-batch-options.js';
import { SampleSources } from './sample-sources.js';
import { ShortenedDataset } from './shortened-dataset.js';
import { cutTokenBlocks, type TokenBlocks } from './token-blocks.js';
import type { TokenDataset } from './token-dataset.js';

/** One batch of samples for a language model; every sample may have context in front of it. */
export interface LmBatch {
  /** Number of samples. */
  readonly rows: number;
  /** Columns: the longest sample, and the context window. */
  readonly width: number;
  /** `[rows]` which sample of the text each row is. */
  readonly sampleIds: Int32Array;
  /** `[rows, width]` row-major: what the model reads, right-padded with 1. */
  readonly tokens: Int32Array;
  /** `[rows, width]` row-major: what it is to predict at each column; 1 (pad) where nothing is scored. */
  readonly targets: Int32Array;
  /** `[rows]` first column of the sample: the length of the carried context. With `addBos` it holds `<s>`. */
  readonly starts: Int32Array;
  /** `[rows]` tokens of context and sample. */
  readonly lengths: Int32Array;
}

/** Where a sample is in the text, and where it is evaluated. */
export interface SamplePlace {
  /** Which sample of the text it is. */
  readonly sampleId: number;
  /** The batch that has it: {@link LmBatchPlan.batch}. */
  readonly batch: number;
  /** Its first token, counted over the whole text; over the shortened text with `shortenMethod`. */
  readonly start: number;
  /** Its tokens, without `<s>`. */
  readonly size: number;
  /** Tokens of context in front of it. */
  readonly contextTokens: number;
}

/** The batches of a text, of which each can be made on its own. Memory: some 30 bytes for each sample of the text. */
export interface LmBatchPlan {
  /** Samples of the whole text, the skipped ones included ("examples" in fairseq's log). */
  readonly sampleCount: number;
  /** Batches of this shard. */
  readonly batchCount: number;
  /** Samples of this shard's batches. */
  readonly shardSampleCount: number;
  /** Targets of this shard's batches that are scored. */
  readonly targetCount: number;
  /** Samples of the whole text that are longer than `maxPositions`, in fairseq's order; nothing scores them. */
  readonly skippedSampleIds: number[];
  /** Tokens of a full sample: `tokensPerSample - contextWindow`. */
  readonly blockSize: number;
  /**
   * Makes one batch, whatever was made before.
   *
   * @param i - 0 to `batchCount - 1`
   * @throws BinarizerError `BATCH_OUT_OF_RANGE`, `TOKEN_OUT_OF_RANGE`
   */
  batch(i: number): LmBatch;
  /** Where the samples of the shard's batches are, in the order of evaluation; reads no token. */
  samples(): IterableIterator<SamplePlace>;
  /** All batches of the shard, in order. */
  [Symbol.iterator](): Iterator<LmBatch>;
}

/**
 * Plans how a text is evaluated: cuts it into samples, orders and filters them and groups them into batches, exactly as
 * `fairseq-eval-lm` does (TokenBlockDataset, MonolingualDataset, LMContextWindowDataset, `batch_by_size`).
 *
 * Shards are the exception: each gets a contiguous range of the batches, with the context that it would have in a single
 * run, so that shards together give the result of one run. (Fairseq gives a shard every n-th batch, and the context of
 * whatever batch it saw before.)
 *
 * @param dataset - the text
 * @param dictionary - its dictionary
 * @param options - how to cut and to group
 * @throws {@link BinarizerError} `OPTION_INVALID`, `TEXT_EMPTY`, `MAX_TOKENS_EXCEEDED`, `TOKEN_OUT_OF_RANGE`
 *
 * @example
 * ```ts
 * const plan = planLmBatches(dataset, dictionary, { breakMode: 'none', tokensPerSample: 512, contextWindow: 256 });
 * for (const { tokens, targets, rows, width } of plan) score(tokens, targets, rows, width);
 * ```
 */
export function planLmBatches(
  dataset: TokenDataset,
  dictionary: Dictionary,
  options: LmBatchOptions,
): LmBatchPlan {
  const checked = checkLmBatchOptions(options);
  if (dataset.tokenCount === 0) throw textEmpty(dataset.path);
  return new Plan(shortened(dataset, checked), dictionary, checked);
}

function shortened(dataset: TokenDataset, options: CheckedLmBatchOptions): TokenDataset {
  const { shortenMethod, shortenSeed, tokensPerSample, contextWindow } = options;
  if (shortenMethod === 'none') return dataset;
  const seed = shortenMethod === 'random_crop' ? shortenSeed : undefined;
  return new ShortenedDataset(dataset, tokensPerSample - contextWindow, seed);
}

class Plan implements LmBatchPlan {
  readonly sampleCount: number;
  readonly batchCount: number;
  readonly shardSampleCount: number;
  readonly targetCount: number;
  readonly skippedSampleIds: number[];
  readonly blockSize: number;
  readonly #rule: ContextRule;
  readonly #pad: number;
  readonly #sources: SampleSources;
  readonly #blocks: TokenBlocks;
  /** Sample ids in the order of evaluation. */
  readonly #order: Int32Array;
  /** Position in the order after each batch of all shards. */
  readonly #batchEnds: Int32Array;
  readonly #carriedInto: Int32Array;
  readonly #firstBatch: number;

  constructor(dataset: TokenDataset, dictionary: Dictionary, options: CheckedLmBatchOptions) {
    const { tokensPerSample, contextWindow, maxPositions, numShards, shardId } = options;
    this.#rule = { tokensPerSample, contextWindow };
    this.#pad = dictionary.pad;
    this.blockSize = tokensPerSample - contextWindow;
    const blocks = cutTokenBlocks(dataset.sizes, options.breakMode, this.blockSize);
    this.#blocks = blocks;
    this.sampleCount = blocks.sizes.length;
    this.#sources = new SampleSources(dataset, blocks, dictionary, options.addBos);
    const order = contextWindow > 0 ? orderOfText(blocks.sizes) : orderBySize(blocks.sizes);
    this.skippedSampleIds = Array.from(order.filter((id) => blocks.sizes[id] > maxPositions));
    this.#order = order.filter((id) => blocks.sizes[id] <= maxPositions);
    this.#batchEnds = cutBatches(this.#order, blocks.sizes, options);
    if (contextWindow > 0) this.#sources.countPads();
    this.#carriedInto = carriedIntoBatches(this.#order, this.#batchEnds, this.#sources, this.#rule);
    const total = this.#batchEnds.length;
    this.#firstBatch = Math.floor((total * shardId) / numShards);
    this.batchCount = Math.floor((total * (shardId + 1)) / numShards) - this.#firstBatch;
    const rows = this.#order.subarray(
      this.#batchStart(this.#firstBatch),
      this.#batchStart(this.#firstBatch + this.batchCount),
    );
    this.shardSampleCount = rows.length;
    this.targetCount = rows.reduce((sum, id) => sum + blocks.sizes[id], 0);
  }

  batch(i: number): LmBatch {
    if (!(Number.isInteger(i) && i >= 0 && i < this.batchCount)) throw batchOutOfRange(i, this.batchCount);
    const batch = this.#firstBatch + i;
    const first = this.#batchStart(batch);
    const carried = contextBefore(this.#order, first, this.#carriedInto[batch], this.#sources);
    return this.#collate(this.#order.slice(first, this.#batchEnds[batch]), carried);
  }

  *[Symbol.iterator](): Iterator<LmBatch> {
    for (let i = 0; i < this.batchCount; i++) yield this.batch(i);
  }

  *samples(): IterableIterator<SamplePlace> {
    const { starts, sizes } = this.#blocks;
    for (let batch = 0; batch < this.batchCount; batch++) {
      const whole = this.#firstBatch + batch;
      let carried = this.#carriedInto[whole];
      for (let at = this.#batchStart(whole); at < this.#batchEnds[whole]; at++) {
        const sampleId = this.#order[at];
        const tokens = this.#sources.contextTokens(sampleId);
        const contextTokens = startOf(carried, tokens, this.#rule);
        yield { sampleId, batch, start: starts[sampleId], size: sizes[sampleId], contextTokens };
        carried = carriedAfter(contextTokens, tokens, this.#rule);
      }
    }
  }

  #batchStart(batch: number): number {
    return batch === 0 ? 0 : this.#batchEnds[batch - 1];
  }

  /** Puts samples into rows, each with the context that the row before it leaves. */
  #collate(sampleIds: Int32Array, carriedInto: Int32Array): LmBatch {
    const rows = sampleIds.length;
    let longest = 0;
    for (const id of sampleIds) longest = Math.max(longest, this.#sources.rowTokens(id));
    const width = longest + this.#rule.contextWindow;
    const tokens = new Int32Array(rows * width).fill(this.#pad);
    const targets = new Int32Array(rows * width).fill(this.#pad);
    const starts = new Int32Array(rows);
    const lengths = new Int32Array(rows);
    let carried = carriedInto;
    for (let row = 0; row < rows; row++) {
      const sample = this.#sources.sourceAndTargets(sampleIds[row]);
      const start = startOf(carried.length, this.#sources.contextTokens(sampleIds[row]), this.#rule);
      const context = carried.subarray(carried.length - start);
      tokens.set(context, row * width);
      tokens.set(sample.source, row * width + start);
      targets.set(sample.targets, row * width + start);
      starts[row] = start;
      lengths[row] = start + sample.source.length;
      carried = carryOn(context, this.#sources.withoutPads(sample.source), this.#rule);
    }
    return { rows, width, sampleIds, tokens, targets, starts, lengths };
  }
}

function textEmpty(path: string): BinarizerError {
  return new BinarizerError('TEXT_EMPTY', `${path}: has no tokens`, {
    hint: 'The text it was made from was empty; check the file given to fairseq-preprocess.',
    details: { path, found: 0, expected: '1 or more' },
  });
}

function batchOutOfRange(i: number, batchCount: number): BinarizerError {
  return new BinarizerError('BATCH_OUT_OF_RANGE', `there is no batch ${i}; the plan has ${batchCount}`, {
    details: { found: i, expected: `0 to ${batchCount - 1}` },
  });
}
