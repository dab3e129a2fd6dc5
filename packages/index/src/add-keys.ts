import { CancelledError } from '@knn-lm/common';
import type { CheckedBuildOptions } from './build-options.js';
import type { EngineIndex } from './engine.js';
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
 * Adds the keys of a datastore that are not in the index yet, in order: the id of a key is its row.
 *
 * Memory: two batches of at most 8,192 keys beside the index.
 *
 * @param index - holds the first `index.size` keys already
 * @param source - the datastore
 * @param options - batch size, threads, how often to save
 * @param save - saves what is in the index; also called when the signal fires
 * @throws `CancelledError` when the signal fires; the batch is finished and saved then
 */
export async function addKeys(
  index: EngineIndex,
  source: KeySource,
  { batchSize, threads, saveIntervalMs, signal, onProgress }: CheckedBuildOptions,
  save: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const step = Math.max(Math.min(batchSize, MAX_ROWS_AT_A_TIME), FEWEST_ROWS_AT_A_TIME);
  const report = (done: number): void => {
    onProgress?.({ stage: 'add', done, total: source.rows, unit: 'keys' });
  };
  const saver = new IntervalSaver(index, saveIntervalMs, save);
  let adding: Promise<void> = Promise.resolve();
  report(index.size);
  for (let start = index.size; start < source.rows;) {
    if (signal?.aborted) await stop(index, source, adding, saver);
    const rest = source.rows - start;
    const count = rest - step < FEWEST_ROWS_AT_A_TIME ? rest : step;
    const keys = source.readKeys(start, count);
    await adding;
    report(start);
    await saver.saveIfDue();
    const first = start;
    // Without the signal: a batch takes a second at most, and a whole one can be saved.
    adding = index.add(keys, { threads }).catch((cause: unknown) => {
      throw describeKeyError(cause, (row) => first + row, source);
    });
    // The next read may throw first; this one is not to be reported as unhandled then.
    adding.catch(() => undefined);
    start += count;
    // Adding does not hold up the event loop, but reading does.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await adding;
  report(source.rows);
}

/** Finishes the batch, saves, and says how to go on. */
async function stop(
  index: EngineIndex,
  source: KeySource,
  adding: Promise<void>,
  saver: IntervalSaver,
): Promise<never> {
  await adding;
  await saver.save();
  const part = `${index.size.toLocaleString('en-US')} of ${source.rows.toLocaleString('en-US')}`;
  throw new CancelledError(`stopped after adding ${part} keys; they are saved`, {
    hint: 'The same command goes on from there.',
    details: { rows: index.size, total: source.rows },
  });
}

/** Saves when the interval is over; less often where saving takes long. */
class IntervalSaver {
  #dueMs: number;
  #savedRows: number;

  constructor(
    readonly index: EngineIndex,
    readonly intervalMs: number,
    readonly write: () => Promise<void>,
  ) {
    this.#dueMs = performance.now() + intervalMs;
    this.#savedRows = index.size;
  }

  async save(): Promise<void> {
    if (this.index.size === this.#savedRows) return;
    await this.write();
    this.#savedRows = this.index.size;
  }

  async saveIfDue(): Promise<void> {
    const startMs = performance.now();
    if (startMs < this.#dueMs) return;
    await this.save();
    const endMs = performance.now();
    this.#dueMs = endMs + Math.max(this.intervalMs, (endMs - startMs) / SAVING_PART);
  }
}
