import { CancelledError } from '@knn-lm/common';
import type { CheckedBuildOptions } from './build-options.js';
import type { GrowingIndex } from './growing-index.js';
import type { RowRange } from './index-target.js';
import { describeKeyError } from './key-error.js';
import type { KeySource } from './key-source.js';

/** Keys in memory at a time, twice: one batch is read while the one before is added. */
const MAX_ROWS_AT_A_TIME = 8192;
/**
 * Faiss sums fewer rows in another order (its `distance_compute_blas_threshold`). The last batch takes such a rest with
 * it, so that codes do not depend on where a build was interrupted.
 */
const FEWEST_ROWS_AT_A_TIME = 20;
/** Saving takes no more than this part of the time, however large the index. */
const SAVING_PART = 0.1;

/**
 * Adds keys of a datastore that are not in the index yet, in order: the id of a key is its row.
 *
 * Memory: two batches of at most 8,192 keys beside the index.
 *
 * @param growing - knows which row is next
 * @param source - the datastore
 * @param range - the rows that are to be in the index
 * @param options - batch size, threads, how often to save
 * @throws `CancelledError` when the signal fires; the batch is finished and saved then
 */
export async function addKeys(
  growing: GrowingIndex,
  source: KeySource,
  { firstRow, endRow }: RowRange,
  { batchSize, threads, saveIntervalMs, signal, onProgress }: CheckedBuildOptions,
): Promise<void> {
  const step = Math.max(Math.min(batchSize, MAX_ROWS_AT_A_TIME), FEWEST_ROWS_AT_A_TIME);
  const report = (row: number): void => {
    onProgress?.({ stage: 'add', done: row - firstRow, total: endRow - firstRow, unit: 'keys' });
  };
  const saver = new IntervalSaver(growing, saveIntervalMs);
  let adding: Promise<void> = Promise.resolve();
  report(growing.nextRow);
  for (let start = growing.nextRow; start < endRow;) {
    if (signal?.aborted) await stop(growing, { firstRow, endRow }, adding);
    const rest = endRow - start;
    const count = rest - step < FEWEST_ROWS_AT_A_TIME ? rest : step;
    const keys = source.readKeys(start, count);
    await adding;
    report(start);
    await saver.saveIfDue();
    const first = start;
    // Without the signal: a batch takes a second at most, and a whole one can be saved.
    adding = growing.index.add(keys, { threads, firstId: first }).catch((cause: unknown) => {
      throw describeKeyError(cause, (row) => first + row, source);
    });
    // The next read may throw first; this one is not to be reported as unhandled then.
    adding.catch(() => undefined);
    start += count;
    // Adding does not hold up the event loop, but reading does.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await adding;
  report(endRow);
}

/** Finishes the batch, saves, and says how to go on. */
async function stop(growing: GrowingIndex, range: RowRange, adding: Promise<void>): Promise<never> {
  await adding;
  if (growing.nextRow > growing.savedRows) await growing.save();
  const rows = growing.nextRow - range.firstRow;
  const total = range.endRow - range.firstRow;
  const part = `${rows.toLocaleString('en-US')} of ${total.toLocaleString('en-US')}`;
  throw new CancelledError(`stopped after adding ${part} keys; they are saved`, {
    hint: 'The same command goes on from there.',
    details: { rows, total },
  });
}

/** Saves when the interval is over or memory is full; less often where saving takes long. */
class IntervalSaver {
  #dueMs: number;

  constructor(
    readonly growing: GrowingIndex,
    readonly intervalMs: number,
  ) {
    this.#dueMs = performance.now() + intervalMs;
  }

  async saveIfDue(): Promise<void> {
    const startMs = performance.now();
    const { growing } = this;
    if (startMs < this.#dueMs && !growing.isFull) return;
    if (growing.nextRow > growing.savedRows) await growing.save();
    const endMs = performance.now();
    this.#dueMs = endMs + Math.max(this.intervalMs, (endMs - startMs) / SAVING_PART);
  }
}
