import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { KnnIndexError } from './errors.js';
import { Pcg64 } from '@knn-lm/common';
import { RowSet } from './row-set.js';

/** numpy's generator draws 64 bits at a time beyond this. */
const MAX_ROWS = 2 ** 32 - 2;
/** Draws between two looks at the rest of the program. */
const DRAWS_AT_A_TIME = 1 << 18;

/**
 * Draws the keys to train on, as the Python tool does: the set of
 * `numpy.random.default_rng(seed).choice(numpy.arange(rows), size, replace=False)`.
 *
 * numpy (`Generator.choice`) uses Floyd's algorithm for small samples and shuffles the tail of `arange(rows)` for
 * samples of more than a fiftieth of more than 10,000 rows. Memory: one bit a row, and for the second way 4 bytes a
 * row while it draws.
 *
 * @param rows - rows of the datastore
 * @param size - how many to draw
 * @param seed - a whole number from 0 to 2^53 - 1
 * @throws {@link KnnIndexError} `KNN_INDEX_ARGUMENT`
 */
export async function sampleKeys(
  rows: number,
  size: number,
  seed: number,
  { signal, onProgress }: Pick<TaskOptions, 'signal' | 'onProgress'> = {},
): Promise<RowSet> {
  check('the number of rows', rows, 0, MAX_ROWS);
  check('the number of trained keys', size, 0, rows);
  check('the seed', seed, 0, Number.MAX_SAFE_INTEGER);
  const draws = rows > 10_000 && size > Math.floor(rows / 50) ? shuffleTail : pickByFloyd;
  const chosen = new RowSet(rows);
  let done = 0;
  for (const count of draws(new Pcg64(seed), rows, size, chosen)) {
    done += count;
    throwIfAborted(signal, 'stopped while sampling keys');
    onProgress?.({ stage: 'sample', done, total: size, unit: 'keys' });
    await new Promise((resolve) => setImmediate(resolve));
  }
  return chosen;
}

function check(name: string, value: number, minimum: number, maximum: number): void {
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return;
  throw new KnnIndexError('KNN_INDEX_ARGUMENT', `${name} is ${value}`, {
    hint: `Give a whole number from ${minimum} to ${maximum}.`,
    details: { [name]: value },
  });
}

/** R. Floyd's sampling: the last drawn number stands in where a number is drawn twice. numpy's final shuffle is left out. */
function* pickByFloyd(random: Pcg64, rows: number, size: number, chosen: RowSet): Generator<number> {
  for (let start = rows - size; start < rows; start += DRAWS_AT_A_TIME) {
    const end = Math.min(start + DRAWS_AT_A_TIME, rows);
    for (let last = start; last < end; last++) {
      const drawn = random.nextBounded(last);
      chosen.add(chosen.has(drawn) ? last : drawn);
    }
    yield end - start;
  }
}

/** A Fisher-Yates shuffle from the back that stops when the tail of `size` entries is settled. */
function* shuffleTail(random: Pcg64, rows: number, size: number, chosen: RowSet): Generator<number> {
  const order = Uint32Array.from({ length: rows }, (_, i) => i);
  const first = Math.max(rows - size, 1);
  for (let start = rows - 1; start >= first; start -= DRAWS_AT_A_TIME) {
    const end = Math.max(start - DRAWS_AT_A_TIME, first - 1);
    for (let i = start; i > end; i--) {
      const drawn = random.nextBounded(i);
      chosen.add(order[drawn]);
      order[drawn] = order[i];
    }
    yield start - end;
  }
  // When all rows are drawn the first is never shuffled, but it belongs to the tail.
  if (size === rows && rows > 0) chosen.add(order[0]);
}
