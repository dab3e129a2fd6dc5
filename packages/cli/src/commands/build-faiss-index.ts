import { buildIndex } from '@knn-lm/index';
import { parseArguments, type CommandLine } from '../options/parse.js';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import { buildIndexOptions, overwriteRequested } from '../options/knn.js';
import { openTerminal } from '../terminal/terminal.js';
import { optional } from './lm-task.js';
import { openDatastore } from './neighbors.js';

const commandLine: CommandLine = {
  program: 'build_faiss_index',
  description: "Trains a Faiss index on a datastore's keys and adds them all.",
  options: buildIndexOptions,
  allowAbbreviations: true,
};

/** `build_faiss_index`. */
export async function buildFaissIndex(argv: readonly string[], signal: AbortSignal): Promise<undefined> {
  const parsed = parseArguments(commandLine, argv);
  const { values } = parsed;
  const { log, progress } = openTerminal();
  const logger = log.named('knn_models_cli.build_faiss_index');
  reportOptionsWithoutEffect(parsed, logger);
  const datastore = await openDatastore(values, true);
  try {
    await buildIndex(datastore, {
      type: values['index_type'] as 'IndexIVFPQ' | 'IndexFlatL2',
      centroids: values['ncentroids'] as number,
      codeSize: values['code_size'] as number,
      bitsPerIndex: values['nbit_per_idx'] as number,
      nprobe: values['nprobe'] as number,
      trainedKeys: optional(values['num_trained_keys'] as number | null),
      seed: values['seed'] as number,
      batchSize: values['batch_size'] as number,
      threads: optional(values['threads'] as number | null),
      overwrite: overwriteRequested(values['overwrite'] === true),
      signal,
      onProgress: progress.report,
      logger,
    });
  } finally {
    progress.close();
    datastore.close();
  }
}
