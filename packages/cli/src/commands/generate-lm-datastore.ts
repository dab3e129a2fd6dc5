import type { LmBatchPlan } from '@knn-lm/binarizer';
import { CancelledError, KnnLmError, type Logger } from '@knn-lm/common';
import {
  DatastoreError,
  DatastoreWriter,
  readManifest,
  type DatastoreIdentity,
  type DatastoreWriterOptions,
} from '@knn-lm/datastore';
import {
  countDatastoreRows,
  generateDatastore,
  type DatastorePlan,
  type GenerateResult,
} from '@knn-lm/knn-lm';
import type { CommandLine, ParsedArguments } from '../options/parse.js';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import { flag } from '../options/option.js';
import { knnDatastoreOptions, overwriteRequested } from '../options/knn.js';
import type { Command } from '../terminal/command.js';
import type { ProgressReporter } from '../terminal/progress.js';
import { openTerminal } from '../terminal/terminal.js';
import { UsageError } from '../terminal/usage-error.js';
import { languageModelOptions } from './eval-lm.js';
import { textsResult } from './derive.js';
import { dataResult, modelResult } from './eval-result.js';
import { openLmTask, type LmTask, type Values } from './lm-task.js';
import { planShard } from './shard-plan.js';

const commandLine: CommandLine = {
  program: 'generate_lm_datastore',
  description: 'Writes the datastore of a text: the hidden state before every token, and the token.',
  positionals: { data: 'folder made by fairseq-preprocess' },
  options: [
    ...languageModelOptions('language_modeling_knn'),
    ...knnDatastoreOptions,
    flag('--overwrite', 'replace a datastore that is there'),
    flag('--append', 'append the text to the finished datastore that is there'),
  ],
};

const logName = 'knn_models_cli.generate_lm_datastore';

/** `generate_lm_datastore`. */
export const generateDatastoreCommand: Command = {
  commandLine,
  async run(parsed, context) {
    const { signal } = context;
    const { values } = parsed;
    checkAppend(values);
    const { log, progress } = openTerminal(context, values);
    const logger = log.named(logName);
    reportOptionsWithoutEffect(parsed, logger);
    const task = await openLmTask(values, {
      purpose: 'keys',
      keysDtype: keysDtype(values),
      moduleToCapture: values['module_to_capture'] as string,
      signal,
      onProgress: progress.report,
      logger,
      dataLogger: log.named('fairseq.data.data_utils'),
      taskLogger: log.named('fairseq.tasks.fairseq_task'),
    });
    try {
      return await fillDatastore(parsed, task, { signal, progress, logger });
    } finally {
      progress.close();
      await task.close();
    }
  },
};

interface Surroundings {
  readonly signal: AbortSignal;
  readonly progress: ProgressReporter;
  readonly logger: Logger;
}

async function fillDatastore(
  parsed: ParsedArguments,
  task: LmTask,
  surroundings: Surroundings,
): Promise<object> {
  const { values } = parsed;
  const { signal, progress, logger } = surroundings;
  const { info } = task.model;
  checkDimension(values, info.keyDimension, info.moduleToCapture, parsed);
  const plan: DatastorePlan = {
    batches: batchesOf(task, shardOf(values)),
    breakMode: task.breakMode,
    contextWindow: task.contextWindow,
    tokensPerSample: task.tokensPerSample,
  };
  const available = countDatastoreRows(plan, info.padIndex);
  const folder = values['datastore'] as string;
  logger.info(
    `model ${String(values['path'])} (${info.parameters.toLocaleString('en-US')} parameters), module ${info.moduleToCapture}, device ${info.device}`,
  );
  const writer = await createWriter(folder, values['append'] === true, {
    rows: plannedRows(values, available),
    dimension: info.keyDimension,
    dtype: keysDtype(values),
    identity: datastoreIdentity(task, shardOf(values)),
    overwrite: overwriteRequested(values['overwrite'] === true),
    logger,
    signal,
  });
  if (writer === undefined) return generateResult(values, task);
  const startMs = performance.now();
  try {
    const result = await generateDatastore(task.model, plan, writer, {
      signal,
      onProgress: progress.report,
      logger,
    });
    await writer.finish();
    progress.close();
    const seconds = (performance.now() - startMs) / 1000;
    const tokens = task.plan.targetCount.toLocaleString('en-US');
    logger.info(
      `Evaluated ${tokens} tokens in ${seconds.toFixed(1)}s (${(result.rowsWritten / seconds).toFixed(2)} tokens/s)`,
    );
    logger.info(`Saved tokens / All tokens: ${writer.rows} / ${task.plan.targetCount}`);
    logger.info(`Datastore keys dimension: ${info.keyDimension}`);
    return await generateResult(values, task, { ...result, seconds });
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    const kept = `${writer.committedRows.toLocaleString('en-US')} of ${writer.rows.toLocaleString('en-US')}`;
    throw new CancelledError(`stopped: ${kept} entries are in ${folder}`, {
      hint: 'The same command goes on from there.',
      cause: error,
    });
  } finally {
    await writer.close();
  }
}

/** The datastore as it is now; without `done` it was there already and has been kept. */
async function generateResult(
  values: Values,
  task: LmTask,
  done?: GenerateResult & { readonly seconds: number },
) {
  const folder = values['datastore'] as string;
  const manifest = await readManifest(folder);
  return {
    datastore: folder,
    kept: done === undefined,
    rows: manifest?.rows ?? null,
    dimension: manifest?.dimension ?? null,
    dtype: manifest?.dtype ?? null,
    texts: manifest === undefined ? [] : textsResult(manifest),
    rows_written: done?.rowsWritten ?? 0,
    rows_resumed: done?.rowsResumed ?? 0,
    seconds: done?.seconds ?? 0,
    model: modelResult(values, task),
    data: dataResult(values, task),
  };
}

/** Opens the writer; a datastore that is finished already is kept and reported, as the Python tool keeps it. */
async function createWriter(
  folder: string,
  append: boolean,
  options: DatastoreWriterOptions,
): Promise<DatastoreWriter | undefined> {
  try {
    return await (append ? DatastoreWriter.extend(folder, options) : DatastoreWriter.create(folder, options));
  } catch (error) {
    if (!(error instanceof DatastoreError) || error.code !== 'DATASTORE_ALREADY_FINISHED') throw error;
    options.logger?.info(append ? error.message : `${error.message}; --overwrite makes it again`);
    return undefined;
  }
}

/** What is appended is a whole text, and replaces nothing. */
function checkAppend(values: Values): void {
  if (values['append'] !== true) return;
  const other = values['overwrite'] === true ? '--overwrite' : '--num-shards';
  if (other === '--num-shards' && values['num_shards'] === 1) return;
  throw new UsageError(`argument --append: not allowed with argument ${other}`, '');
}

function keysDtype(values: Values): 'fp16' | 'fp32' {
  return (values['keys_dtype'] as 'fp16' | 'fp32' | null) ?? 'fp16';
}

function checkDimension(values: Values, keyDimension: number, module: string, parsed: ParsedArguments): void {
  const given = parsed.given.some((option) => option.flags.includes('--keys-dimension'));
  if (!given || values['keys_dimension'] === keyDimension) return;
  throw new KnnLmError(
    'KEYS_DIMENSION',
    `--keys-dimension is ${String(values['keys_dimension'])}, but ${module} of this model has ${keyDimension} dimensions`,
    {
      hint: `Give --keys-dimension ${keyDimension}, or leave the flag out.`,
      details: { expected: keyDimension },
    },
  );
}

/** `--datastore-size` is found when not given, cuts when smaller, and is an error when larger. */
function plannedRows(values: Values, available: number): number {
  const given = values['datastore_size'] as number | null;
  if (given === null || given === 0) {
    if (available > 0) return available;
    throw new KnnLmError('DATASTORE_SIZE', 'the text gives no entry: no block of it has a complete context', {
      hint: 'Take a longer text, a smaller --context-window, or fewer shards.',
    });
  }
  if (given < 0 || given > available) {
    throw new KnnLmError(
      'DATASTORE_SIZE',
      `--datastore-size is ${given}, but the text gives ${available} entries`,
      {
        hint: `Give --datastore-size ${available}, or leave the flag out.`,
        details: { found: given, expected: available },
      },
    );
  }
  return given;
}

/** Which part of the datastore is made, of how many. */
interface Shard {
  readonly numShards: number;
  readonly shardId: number;
}

function shardOf(values: Values): Shard {
  return { numShards: values['num_shards'] as number, shardId: values['shard_id'] as number };
}

function batchesOf(task: LmTask, shard: Shard): LmBatchPlan {
  if (shard.numShards === 1) return task.plan;
  return planShard(task.plan, task.wholePlan(), { ...shard, pad: task.dictionary.pad });
}

function datastoreIdentity(task: LmTask, shard: Shard): DatastoreIdentity {
  return {
    ...(shard.numShards > 1 ? shard : {}),
    modelFingerprint: task.model.info.fingerprint,
    moduleToCapture: task.model.info.moduleToCapture,
    dictionaryFingerprint: task.dictionary.fingerprint,
    textFingerprint: task.dataset.fingerprint,
    split: task.split,
    breakMode: task.breakMode,
    tokensPerSample: task.tokensPerSample,
    contextWindow: task.contextWindow,
  };
}
