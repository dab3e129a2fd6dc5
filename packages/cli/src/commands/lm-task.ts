import {
  openDataBin,
  planLmBatches,
  readTokenMap,
  type BreakMode,
  type Dictionary,
  type LmBatchPlan,
  type ShortenMethod,
  type TokenDataset,
} from '@knn-lm/binarizer';
import { KnnLmError, type Logger, type TaskOptions } from '@knn-lm/common';
import { LanguageModel, type Device, type Precision } from '@knn-lm/lm-runtime';
import type { OptionValue } from '../options/option.js';
import { parsePythonDictionary } from '../options/python-dictionary.js';

/** The option values of a command, typed by name; see the option tables for their meaning. */
export type Values = Readonly<Record<string, OptionValue>>;

/** What a command that runs a model works with. */
export interface LmTask {
  /** The opened model. */
  readonly model: LanguageModel;
  /** Dictionary of the data. */
  readonly dictionary: Dictionary;
  /** The tokens of the split. */
  readonly dataset: TokenDataset;
  /** The split, cut into blocks and batches. */
  readonly plan: LmBatchPlan;
  /** The plan of a single run, whatever `--num-shards` says. */
  readonly wholePlan: () => LmBatchPlan;
  /** Opens another split of the same data, cut by the same rules; the caller closes its dataset. */
  readonly openSplit: (
    split: string,
  ) => Promise<{ readonly dataset: TokenDataset; readonly plan: LmBatchPlan }>;
  /** Name of the split. */
  readonly split: string;
  /** Block and context together, in tokens. */
  readonly tokensPerSample: number;
  /** Context of each block, in tokens. */
  readonly contextWindow: number;
  /** How the text is cut. */
  readonly breakMode: BreakMode;
  /** Frees model and data. */
  close(): Promise<void>;
}

/** How {@link openLmTask} opens. */
export interface LmTaskOptions extends TaskOptions {
  /** Whether keys are wanted or scores too. */
  readonly purpose: 'keys' | 'score';
  /** Precision of the keys. */
  readonly keysDtype: 'fp16' | 'fp32';
  /** Module whose output is the key; the kind of model has a default. */
  readonly moduleToCapture?: string | undefined;
  /** Logger of the command's own lines. */
  readonly logger: Logger;
  /** Logger of the lines about the data. */
  readonly dataLogger: Logger;
  /** Logger of the lines about samples left out. */
  readonly taskLogger: Logger;
}

/**
 * Opens what every command over a text needs: data, dictionary, model and batches; logs what fairseq logs about them.
 *
 * @param values - option values
 * @param options - what is wanted of the model, and the loggers
 * @throws `DICTIONARY_MODEL_MISMATCH` when the dictionary has another size than the model's vocabulary
 */
export async function openLmTask(values: Values, options: LmTaskOptions): Promise<LmTask> {
  const data = values['data'] as string;
  const split = values['gen_subset'] as string;
  const { dictionary, dataset, prefix } = await openDataBin(data, split, datasetFormat(values));
  options.dataLogger.info(`loaded ${dataset.length.toLocaleString('en-US')} examples from: ${prefix}`);
  let model: LanguageModel | undefined;
  try {
    model = await openModel(values, options);
    checkDictionary(dictionary, model, data, values['path'] as string);
    const { maxPositions } = model.info;
    const rulesOf = (name: string) => ({
      ...blockRules({ ...values, gen_subset: name }),
      maxPositions,
      // fairseq takes this from the command line too, not from the checkpoint.
      addBos: values['add_bos_token'] === true,
    });
    const rules = rulesOf(split);
    const plan = planLmBatches(dataset, dictionary, rules);
    options.logger.info(`${data} ${split} ${plan.sampleCount.toLocaleString('en-US')} examples`);
    reportSkipped(plan, maxPositions, options.taskLogger);
    const opened = model;
    return {
      model,
      dictionary,
      dataset,
      plan,
      wholePlan: () => planLmBatches(dataset, dictionary, { ...rules, numShards: 1, shardId: 0 }),
      async openSplit(name) {
        const other = await openDataBin(data, name, datasetFormat(values));
        return { dataset: other.dataset, plan: planLmBatches(other.dataset, dictionary, rulesOf(name)) };
      },
      split,
      tokensPerSample: values['tokens_per_sample'] as number,
      contextWindow: values['context_window'] as number,
      breakMode: values['sample_break_mode'] as BreakMode,
      async close() {
        await opened.close();
        dataset.close();
      },
    };
  } catch (error) {
    await model?.close();
    dataset.close();
    throw error;
  }
}

function datasetFormat(values: Values): { impl?: 'raw' | 'lazy' | 'cached' | 'mmap' } {
  const format = values['dataset_impl'];
  if (format === null) return {};
  if (format === 'fasta' || format === 'huffman') {
    throw new KnnLmError(
      'DATASET_FORMAT',
      `--dataset-impl ${format} is not a format of language model data`,
      {
        hint: 'Leave the flag out: the format is found by itself.',
      },
    );
  }
  return { impl: format as 'raw' | 'lazy' | 'cached' | 'mmap' };
}

async function openModel(values: Values, options: LmTaskOptions): Promise<LanguageModel> {
  // The ids of data that were made with the model's tokenizer are not yet those of the model.
  const tokens = await readTokenMap((values['data'] as string).split(':')[0]);
  const overrides = parsePythonDictionary(values['model_overrides'] as string, '--model-overrides');
  return LanguageModel.open(values['path'] as string, {
    purpose: options.purpose,
    keysDtype: options.keysDtype,
    moduleToCapture: options.moduleToCapture,
    modelOverrides: overrides,
    softmaxBatch: optional(values['softmax_batch'] as number | null),
    threads: optional(values['threads'] as number | null),
    device: values['device'] as Device,
    precision: values['precision'] as Precision,
    modelCache: optional(values['model_cache'] as string | null),
    modelTokenIds: tokens?.modelIds,
    signal: options.signal,
    onProgress: options.onProgress,
    logger: options.logger,
  });
}

/** argparse's None as a value left out. */
export function optional<T>(value: T | null): T | undefined {
  return value === null ? undefined : value;
}

function blockRules(values: Values) {
  return {
    breakMode: values['sample_break_mode'] as BreakMode,
    tokensPerSample: values['tokens_per_sample'] as number,
    contextWindow: values['context_window'] as number,
    maxTokens: optional(values['max_tokens'] as number | null),
    batchSize: optional(values['batch_size'] as number | null),
    numShards: values['num_shards'] as number,
    shardId: values['shard_id'] as number,
    shortenMethod: shortensSplit(values) ? (values['shorten_method'] as ShortenMethod) : 'none',
    shortenSeed: values['seed'] as number,
  };
}

/** `--shorten-data-split-list` names the splits that `--shorten-method` applies to; an empty list means all. */
function shortensSplit(values: Values): boolean {
  const list = values['shorten_data_split_list'] as string;
  return list === '' || list.split(',').includes(values['gen_subset'] as string);
}

/** Exporters round a vocabulary up to a multiple of this at most; those rows of weights belong to no token. */
const mostSpareRows = 127;

/**
 * Refuses a text of another vocabulary than the model's.
 *
 * @throws `DICTIONARY_MODEL_MISMATCH`
 */
export function checkDictionary(
  dictionary: Dictionary,
  model: Pick<LanguageModel, 'info'>,
  data: string,
  path: string,
): void {
  const { kind, vocabSize } = model.info;
  const spareRows = vocabSize - dictionary.size;
  const isExported = kind === 'onnx';
  if (spareRows === 0 || (isExported && spareRows > 0 && spareRows <= mostSpareRows)) return;
  throw new KnnLmError(
    'DICTIONARY_MODEL_MISMATCH',
    `the dictionary of ${data} has ${dictionary.size} symbols, the model ${path} has ${model.info.vocabSize}`,
    {
      hint: isExported
        ? 'An exported model takes text that was binarized with its own tokenizer: ids of another dictionary would mean other words.'
        : 'Binarize the text with the dictionary that the model was trained with (fairseq-preprocess --srcdict DICT).',
      details: { found: dictionary.size, expected: model.info.vocabSize },
    },
  );
}

function reportSkipped(plan: LmBatchPlan, maxPositions: number, logger: Logger): void {
  const { skippedSampleIds } = plan;
  if (skippedSampleIds.length === 0) return;
  logger.warn(
    `${skippedSampleIds.length.toLocaleString('en-US')} samples have invalid sizes and will be skipped, ` +
      `max_positions=${maxPositions}, first few sample ids=[${skippedSampleIds.slice(0, 10).join(', ')}]`,
  );
}
