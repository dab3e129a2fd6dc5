import { throwIfAborted } from '@knn-lm/common';
import type { CheckedBuildOptions } from './build-options.js';
import type { EngineIndex } from './engine.js';
import { describeKeyError } from './key-error.js';
import type { KeySource } from './key-source.js';

/** Keys in memory at a time, twice: one batch is read while the one before is added. */
const MAX_ROWS_AT_A_TIME = 8192;

/**
 * Adds all keys of a datastore to an index, in order: the id of a key is its row.
 *
 * Memory: two batches of at most 8,192 keys beside the index.
 */
export async function addKeys(
  index: EngineIndex,
  source: KeySource,
  { batchSize, threads, signal, onProgress }: CheckedBuildOptions,
): Promise<void> {
  const step = Math.min(batchSize, MAX_ROWS_AT_A_TIME);
  const report = (done: number): void => {
    onProgress?.({ stage: 'add', done, total: source.rows, unit: 'keys' });
  };
  report(0);
  let adding: Promise<void> = Promise.resolve();
  for (let start = 0; start < source.rows; start += step) {
    throwIfAborted(signal, 'stopped while adding keys');
    const keys = source.readKeys(start, Math.min(step, source.rows - start));
    await adding;
    report(start);
    adding = index.add(keys, { threads, signal }).catch((cause: unknown) => {
      throw describeKeyError(cause, (row) => start + row, source);
    });
    // The next read may throw first; this one is not to be reported as unhandled then.
    adding.catch(() => undefined);
  }
  await adding;
  report(source.rows);
}
