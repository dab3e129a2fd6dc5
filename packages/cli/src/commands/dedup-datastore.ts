import { dedupDatastore } from '@knn-lm/datastore';
import { dedupOptions } from '../options/datastore-tools.js';
import { overwriteRequested } from '../options/knn.js';
import { parseArguments, type CommandLine } from '../options/parse.js';
import { openTerminal } from '../terminal/terminal.js';
import { givenDatastore, openSource, unlessFinished } from './derive.js';

const commandLine: CommandLine = {
  program: 'dedup_datastore',
  description: 'Writes a datastore without the entries whose key and value are those of an earlier one.',
  options: dedupOptions,
  allowAbbreviations: true,
};

/** `dedup_datastore`. */
export async function dedupDatastoreCommand(
  argv: readonly string[],
  signal: AbortSignal,
): Promise<undefined> {
  const { values } = parseArguments(commandLine, argv);
  const { log, progress } = openTerminal();
  const logger = log.named('knn_models_cli.dedup_datastore');
  const source = await openSource(givenDatastore(values), logger);
  try {
    const deduped = await unlessFinished(logger, () =>
      dedupDatastore(source, values['deduped_datastore'] as string, {
        overwrite: overwriteRequested(values['overwrite'] === true),
        signal,
        onProgress: progress.report,
        logger,
      }),
    );
    if (deduped === undefined) return;
    logger.info(`Deduped datastore size: ${deduped.rows} (${deduped.dropped} entries left out)`);
    logger.info('Deduplicate datastore complete');
  } finally {
    progress.close();
    source.close();
  }
}
