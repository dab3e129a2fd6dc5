import { dedupDatastore } from '@knn-lm/datastore';
import { dedupOptions } from '../options/datastore-tools.js';
import { overwriteRequested } from '../options/knn.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { derivedResult, givenDatastore, openSource, unlessFinished } from './derive.js';

const commandLine: CommandLine = {
  program: 'dedup_datastore',
  description: 'Writes a datastore without the entries whose key and value are those of an earlier one.',
  options: dedupOptions,
  allowAbbreviations: true,
};

/** `dedup_datastore`. */
export const dedupDatastoreCommand: Command = {
  commandLine,
  async run({ values }, context) {
    const { log, progress } = openTerminal(context);
    const folder = values['deduped_datastore'] as string;
    const logger = log.named('knn_models_cli.dedup_datastore');
    const source = await openSource(givenDatastore(values), logger);
    try {
      const deduped = await unlessFinished(logger, () =>
        dedupDatastore(source, folder, {
          overwrite: overwriteRequested(values['overwrite'] === true),
          signal: context.signal,
          onProgress: progress.report,
          logger,
        }),
      );
      if (deduped !== undefined) {
        logger.info(`Deduped datastore size: ${deduped.rows} (${deduped.dropped} entries left out)`);
        logger.info('Deduplicate datastore complete');
      }
      return { ...(await derivedResult(folder, deduped)), rows_left_out: deduped?.dropped ?? null };
    } finally {
      progress.close();
      source.close();
    }
  },
};
