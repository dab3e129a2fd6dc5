import { reduceDimensions } from '@knn-lm/datastore';
import { reduceOptions } from '../options/datastore-tools.js';
import { overwriteRequested } from '../options/knn.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { derivedResult, givenDatastore, openSource, unlessFinished } from './derive.js';
import { optional } from './lm-task.js';

const commandLine: CommandLine = {
  program: 'reduce_datastore_dims',
  description: 'Writes a datastore whose keys are the principal components of the keys of another.',
  options: reduceOptions,
  allowAbbreviations: true,
};

/** `reduce_datastore_dims`. */
export const reduceDatastoreDimsCommand: Command = {
  commandLine,
  async run({ values }, context) {
    const { log, progress } = openTerminal(context);
    const folder = values['transformed_datastore'] as string;
    const logger = log.named('knn_models.dim_reduce_utils');
    const source = await openSource(givenDatastore(values), logger);
    try {
      const reduced = await unlessFinished(logger, () =>
        reduceDimensions(source, folder, {
          dimension: values['reduced_keys_dimension'] as number,
          randomRotation: values['random_rotation'] === true,
          trainedKeys: optional(values['num_trained_keys'] as number | null),
          overwrite: overwriteRequested(values['overwrite'] === true),
          signal: context.signal,
          onProgress: progress.report,
          logger,
        }),
      );
      if (reduced !== undefined)
        logger.info(
          `PCA dimension reduction complete: ${reduced.rows} keys of ${reduced.transform.outputDimension}`,
        );
      return await derivedResult(folder, reduced);
    } finally {
      progress.close();
      source.close();
    }
  },
};
