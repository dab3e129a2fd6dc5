import { mergeIndexShards } from '@knn-lm/index';
import { int, flag } from '../options/option.js';
import { overwriteRequested } from '../options/knn.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { optional } from './lm-task.js';

const commandLine: CommandLine = {
  program: 'knn-lm merge-index',
  description:
    'Makes one index of all its shards: the file that building it at once would give. Memory does not grow with it.',
  positionals: { datastore: 'folder of the datastore, where the shards are' },
  options: [
    flag('--on-disk-lists', 'put the inverted lists into a file of their own, which is mapped when opened'),
    flag('--remove-shards', 'remove the shards when the index is complete'),
    flag('--overwrite', 'replace a finished index'),
    int('--threads', null, 'threads (default: one a core)'),
  ],
};

/** `knn-lm merge-index`. */
export const mergeIndexCommand: Command = {
  commandLine,
  async run({ values }, context) {
    const { log, progress } = openTerminal(context, values);
    const logger = log.named('knn_lm.merge_index');
    try {
      const startMs = performance.now();
      const merged = await mergeIndexShards(values['datastore'] as string, {
        onDiskLists: values['on_disk_lists'] === true,
        removeShards: values['remove_shards'] === true,
        overwrite: overwriteRequested(values['overwrite'] === true),
        threads: optional(values['threads'] as number | null),
        signal: context.signal,
        onProgress: progress.report,
        logger,
      });
      if (!merged.kept) logger.info(`${merged.path}: ${merged.description}, of ${merged.shards} shards`);
      return {
        path: merged.path,
        index: merged.description,
        shards: merged.shards,
        entries: merged.size,
        bytes: merged.bytes,
        kept: merged.kept,
        seconds: (performance.now() - startMs) / 1000,
      };
    } finally {
      progress.close();
    }
  },
};
