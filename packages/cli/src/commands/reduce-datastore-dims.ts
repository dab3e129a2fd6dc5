import { reduceDimensions } from '@knn-lm/datastore';
import { reduceOptions } from '../options/datastore-tools.js';
import { overwriteRequested } from '../options/knn.js';
import { parseArguments, type CommandLine } from '../options/parse.js';
import { openTerminal } from '../terminal/terminal.js';
import { givenDatastore, openSource, unlessFinished } from './derive.js';
import { optional } from './lm-task.js';

const commandLine: CommandLine = {
  program: 'reduce_datastore_dims',
  description: 'Writes a datastore whose keys are the principal components of the keys of another.',
  options: reduceOptions,
  allowAbbreviations: true,
};

/** `reduce_datastore_dims`. */
export async function reduceDatastoreDimsCommand(
  argv: readonly string[],
  signal: AbortSignal,
): Promise<undefined> {
  const { values } = parseArguments(commandLine, argv);
  const { log, progress } = openTerminal();
  const logger = log.named('knn_models.dim_reduce_utils');
  const source = await openSource(givenDatastore(values), logger);
  try {
    const reduced = await unlessFinished(logger, () =>
      reduceDimensions(source, values['transformed_datastore'] as string, {
        dimension: values['reduced_keys_dimension'] as number,
        randomRotation: values['random_rotation'] === true,
        trainedKeys: optional(values['num_trained_keys'] as number | null),
        overwrite: overwriteRequested(values['overwrite'] === true),
        signal,
        onProgress: progress.report,
        logger,
      }),
    );
    if (reduced !== undefined)
      logger.info(
        `PCA dimension reduction complete: ${reduced.rows} keys of ${reduced.transform.outputDimension}`,
      );
  } finally {
    progress.close();
    source.close();
  }
}
