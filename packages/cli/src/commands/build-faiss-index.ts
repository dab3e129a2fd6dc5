import { buildIndex } from '@knn-lm/index';
import type { CommandLine } from '../options/parse.js';
import { reportOptionsWithoutEffect } from '../options/effects.js';
import { buildIndexOptions, overwriteRequested } from '../options/knn.js';
import type { Command } from '../terminal/command.js';
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
export const buildIndexCommand: Command = {
  commandLine,
  async run(parsed, context) {
    const { values } = parsed;
    const { log, progress } = openTerminal(context);
    const logger = log.named('knn_models_cli.build_faiss_index');
    reportOptionsWithoutEffect(parsed, logger);
    const datastore = await openDatastore(values, true);
    try {
      const startMs = performance.now();
      const built = await buildIndex(datastore, {
        type: values['index_type'] as 'IndexIVFPQ' | 'IndexFlatL2',
        centroids: values['ncentroids'] as number,
        codeSize: values['code_size'] as number,
        bitsPerIndex: values['nbit_per_idx'] as number,
        nprobe: values['nprobe'] as number,
        trainedKeys: optional(values['num_trained_keys'] as number | null),
        seed: values['seed'] as number,
        batchSize: values['batch_size'] as number,
        threads: optional(values['threads'] as number | null),
        trainOnly: values['train_only'] === true,
        append: values['append'] === true,
        numShards: values['num_shards'] as number,
        shardId: values['shard_id'] as number,
        onDiskLists: values['on_disk_lists'] === true,
        overwrite: overwriteRequested(values['overwrite'] === true),
        signal: context.signal,
        onProgress: progress.report,
        logger,
      });
      return {
        path: built.path,
        trained_path: built.trainedPath ?? null,
        index: built.description,
        entries: built.size,
        dimension: datastore.dimension,
        bytes: built.bytes,
        kept: built.kept,
        entries_appended: built.appendedRows,
        entries_resumed: built.resumedRows,
        seconds: (performance.now() - startMs) / 1000,
      };
    } finally {
      progress.close();
      datastore.close();
    }
  },
};
