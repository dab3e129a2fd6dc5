import { statSync } from 'node:fs';
import { join } from 'node:path';
import { KnnLmError, type TaskOptions } from '@knn-lm/common';
import { greedyMerge, pruneToRows, type Datastore, type Derived } from '@knn-lm/datastore';
import { INDEX_FILE, KnnIndex, sampleKeys } from '@knn-lm/index';
import { pruneOptions } from '../options/datastore-tools.js';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import { overwriteRequested } from '../options/knn.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { UsageError } from '../terminal/usage-error.js';
import { derivedResult, givenDatastore, openSource, unlessFinished } from './derive.js';
import { optional, type Values } from './lm-task.js';

const commandLine: CommandLine = {
  program: 'prune_datastore',
  description: 'Writes a smaller datastore: a random sample, or neighbours of equal value merged into one.',
  options: pruneOptions,
  allowAbbreviations: true,
};

/** `prune_datastore`. */
export const pruneDatastoreCommand: Command = {
  commandLine,
  async run(parsed, context) {
    const { values } = parsed;
    const isRandom = values['method'] === 'random_pruning';
    if (isRandom && values['pruned_datastore_size'] === null)
      throw new UsageError('the following arguments are required: --pruned-datastore-size', '');
    const { log, progress } = openTerminal(context);
    const logger = log.named('knn_models.prune_utils');
    reportOptionsWithoutEffect(parsed, logger);
    const task = { signal: context.signal, onProgress: progress.report, logger };
    const source = await openSource(givenDatastore(values), logger);
    try {
      const prune = isRandom ? pruneAtRandom : pruneByMerging;
      const pruned = await unlessFinished(logger, () => prune(source, values, task));
      if (pruned !== undefined)
        logger.info(`${String(values['method'])} complete. Pruned datastore size: ${pruned.rows}`);
      return await derivedResult(values['pruned_datastore'] as string, pruned);
    } finally {
      progress.close();
      source.close();
    }
  },
};

/** The sample of the Python tool: numpy's `default_rng(seed).choice` without replacement. */
async function pruneAtRandom(source: Datastore, values: Values, task: TaskOptions): Promise<Derived> {
  const size = values['pruned_datastore_size'] as number;
  const seed = values['seed'] as number;
  if (size < 1 || size >= source.rows) {
    throw new KnnLmError(
      'PRUNED_SIZE',
      `--pruned-datastore-size is ${size}, but the datastore has ${source.rows} entries`,
      {
        hint: `Give a number from 1 to ${source.rows - 1}.`,
        details: { found: size, rows: source.rows },
      },
    );
  }
  const chosen = await sampleKeys(source.rows, size, seed, task);
  return pruneToRows(source, chosen, values['pruned_datastore'] as string, {
    ...task,
    overwrite: overwriteRequested(values['overwrite'] === true),
    identity: { pruning: 'random_pruning', seed },
  });
}

async function pruneByMerging(source: Datastore, values: Values, task: TaskOptions): Promise<Derived> {
  const path = join(source.folder, INDEX_FILE);
  const nprobe = values['nprobe'] as number;
  const index = await KnnIndex.open(path, { nprobe, threads: optional(values['threads'] as number | null) });
  try {
    task.logger?.info(`index ${path} (${index.description})`);
    return await greedyMerge(source, index, values['pruned_datastore'] as string, {
      ...task,
      k: values['num_neighbors'] as number,
      batchSize: values['batch_size'] as number,
      seed: values['seed'] as number,
      saveNeighbors: values['save_knn_distance'] === true,
      overwrite: overwriteRequested(values['overwrite'] === true),
      identity: { index: `${index.description}, ${statSync(path).size} bytes`, nprobe },
    });
  } finally {
    index.close();
  }
}
