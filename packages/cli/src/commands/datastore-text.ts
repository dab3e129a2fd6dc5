import { openDataBin } from '@knn-lm/binarizer';
import { KnnLmError, type Logger } from '@knn-lm/common';
import { textsOf, type Datastore, type PlacedText } from '@knn-lm/datastore';
import { DatastoreText } from '@knn-lm/knn-lm';
import type { LmTask, Values } from './lm-task.js';

/** The texts of a datastore, where they are known. */
export interface OpenedDatastoreText {
  /** Which token each row is; none where the datastore does not tell. */
  readonly texts: readonly DatastoreText[];
  /** Closes their files. */
  close(): void;
}

/**
 * Opens the texts that a datastore was made from: the splits that its manifest names, in the folders of
 * `--datastore-data` or else that of the evaluated text. Where that is not possible one line says why, and the work goes
 * on without.
 *
 * @param values - option values
 * @param task - the opened model and text
 * @param datastore - the datastore
 * @param logger - receives the lines
 */
export async function openDatastoreText(
  values: Values,
  task: LmTask,
  datastore: Datastore,
  logger: Logger,
): Promise<OpenedDatastoreText> {
  const folders = (values['datastore_data'] ?? [values['data']]) as readonly string[];
  const { rows, manifest } = datastore;
  const texts: DatastoreText[] = [];
  for (const placed of textsOf({ rows, identity: {}, ...manifest })) {
    const opened = await openFirst(folders, placed, task, datastore);
    if (opened instanceof DatastoreText) texts.push(opened);
    else logger.warn(describeFailure(opened));
  }
  return { texts, close: () => texts.forEach(({ dataset }) => dataset.close()) };
}

/** Opens a text in the first folder that has it; the first error where none does. */
async function openFirst(
  folders: readonly string[],
  text: PlacedText,
  task: LmTask,
  datastore: Datastore,
): Promise<DatastoreText | KnnLmError> {
  const { maxPositions } = task.model.info;
  let first: KnnLmError | undefined;
  for (const folder of folders) {
    let close = () => {};
    try {
      const { dataset, dictionary } = await openDataBin(folder, text.identity.split ?? 'train');
      close = () => dataset.close();
      return DatastoreText.open(datastore, dataset, dictionary, { maxPositions, text });
    } catch (error) {
      close();
      if (!(error instanceof KnnLmError)) throw error;
      first ??= error;
    }
  }
  return first as KnnLmError;
}

function describeFailure({ code, message }: KnnLmError): string {
  if (code === 'DATASTORE_TEXT') return message;
  return `the neighbours' own contexts cannot be shown: ${message} (--datastore-data names the folder of the datastore's text)`;
}
