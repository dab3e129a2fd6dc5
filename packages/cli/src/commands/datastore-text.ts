import { openDataBin } from '@knn-lm/binarizer';
import { KnnLmError, type Logger } from '@knn-lm/common';
import type { Datastore } from '@knn-lm/datastore';
import { DatastoreText } from '@knn-lm/knn-lm';
import type { LmTask, Values } from './lm-task.js';

/** The text of a datastore, where it is known. */
export interface OpenedDatastoreText {
  /** Which token each row is; `undefined` where the datastore does not tell. */
  readonly text: DatastoreText | undefined;
  /** Closes its files. */
  close(): void;
}

/**
 * Opens the text that a datastore was made from: the split that its manifest names, in `--datastore-data` or else the
 * folder of the evaluated text. Where that is not possible one line says why, and the work goes on without it.
 *
 * @param values - option values
 * @param task - the opened model and text
 * @param datastore - the datastore
 * @param logger - receives the line
 */
export async function openDatastoreText(
  values: Values,
  task: LmTask,
  datastore: Datastore,
  logger: Logger,
): Promise<OpenedDatastoreText> {
  const folder = (values['datastore_data'] ?? values['data']) as string;
  const { split = 'train' } = datastore.manifest?.identity ?? {};
  let close = () => {};
  try {
    const { dataset, dictionary } = await openDataBin(folder, split);
    close = () => dataset.close();
    const { maxPositions } = task.model.info;
    return { text: DatastoreText.open(datastore, dataset, dictionary, { maxPositions }), close };
  } catch (error) {
    close();
    if (!(error instanceof KnnLmError)) throw error;
    const found = error.code === 'DATASTORE_TEXT';
    const reason = found ? error.message : `the neighbours' own contexts cannot be shown: ${error.message}`;
    logger.warn(found ? reason : `${reason} (--datastore-data names the folder of the datastore's text)`);
    return { text: undefined, close: () => {} };
  }
}
