import { KnnLmError, type TaskOptions } from '@knn-lm/common';
import type { Datastore } from '@knn-lm/datastore';

/**
 * The quick check before work that relies on a datastore: its sizes were checked when it was opened, and a sample of its
 * segments is read, which takes milliseconds where a whole check takes minutes.
 *
 * @param datastore - open
 * @param vocabularySize - symbols in the dictionary
 * @param force - goes on all the same, with a warning
 * @param task - signal and logger
 * @throws `DATASTORE_DAMAGED`
 */
export async function checkSample(
  datastore: Datastore,
  vocabularySize: number,
  force: boolean,
  task: TaskOptions,
): Promise<void> {
  const { ok, problems } = await datastore.quickVerify({ vocabularySize, signal: task.signal });
  if (ok) return;
  const [{ message, path }] = problems;
  if (force) return task.logger?.warn(message);
  throw new KnnLmError('DATASTORE_DAMAGED', message, {
    hint: `knn-lm verify ${datastore.folder} says what is damaged (--force goes on all the same).`,
    details: { path, folder: datastore.folder },
  });
}
