import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { contentOf } from './content.js';
import type { Datastore } from './datastore.js';
import { checkFolders, chunkRowsOf, refuseFinished, type Derived, type DeriveOptions } from './derive.js';
import { describeWriteError } from './error.js';
import { FirstRows } from './first-rows.js';
import { loadFirstRows, removeFirstRows, saveFirstRows } from './first-rows-file.js';
import { HashPartitions } from './hash-partitions.js';
import { RowBits } from './row-bits.js';
import { hashRows } from './row-hash.js';
import { selectRows } from './select.js';
import { allWeights, hasWeights, withWeights, type WeightReader } from './source-weights.js';

/** What {@link dedupDatastore} takes. */
export interface DedupOptions extends DeriveOptions {
  /**
   * Rows that are looked at together, in a table of 32 to 64 bytes each. More rows are parted by hash on the disk first.
   *
   * @default 2^22, a table of 128 MiB
   */
  readonly rowsAtOnce?: number | undefined;
}

/** What became of it. */
export interface Deduped extends Derived {
  /** Rows that were left out. */
  readonly dropped: number;
}

/**
 * Writes a datastore without the rows whose key and value are those of an earlier row, bit for bit. The order stays.
 *
 * The source is read once to hash its rows, the rows whose hashes are equal are compared, and the rest is copied. For
 * more rows than are looked at together the hashes go to the new datastore's disk, 16 bytes a row, without names.
 * When it was interrupted, what was found by hashing is kept and the copying goes on where it stopped; hashing that had
 * not come to its end is repeated (1 CPU second for 1 GB of keys). Where the rows have weights, those of equal rows are
 * added up; hashing is then repeated in any case.
 *
 * Memory: the table of {@link DedupOptions.rowsAtOnce}, one bit a row (4 bytes with weights), and 64 KiB a partition.
 *
 * @param source - open, with its keys
 * @param folder - of the new datastore
 * @param options - how to watch and stop
 * @throws {@link DatastoreError} `DATASTORE_SAME_FOLDER`, and what `DatastoreWriter` throws
 */
export async function dedupDatastore(
  source: Datastore,
  folder: string,
  options: DedupOptions = {},
): Promise<Deduped> {
  const { rowsAtOnce = 2 ** 22, ...others } = options;
  checkFolders(folder, [source]);
  const identity = { dedupedFrom: contentOf(source) };
  await refuseFinished(folder, others.overwrite ?? false, identity);
  const sums = hasWeights(source) ? await readWeights(source) : undefined;
  // With weights the pass adds them up, so that it is made again after an interruption.
  const kept =
    sums === undefined ? await loadFirstRows(folder, source.rows, identity.dedupedFrom) : undefined;
  const first = kept ?? (await firstOfEach(source, folder, rowsAtOnce, sums, others));
  if (kept === undefined && sums === undefined) await saveFirstRows(folder, first, identity.dedupedFrom);
  const weights: WeightReader | undefined = sums && {
    read: (start, count) => sums.subarray(start, start + count),
  };
  const derived = await selectRows(source, first, folder, { ...others, identity, weights });
  await removeFirstRows(folder);
  return { ...derived, dropped: source.rows - derived.rows };
}

/** All weights, as they are added to where equal rows are left out: 4 bytes a row. */
function readWeights(source: Datastore): Promise<Float32Array> {
  const sums = new Float32Array(source.rows);
  return withWeights([source], ([weights]) => {
    let row = 0;
    for (const chunk of allWeights(weights, source.rows)) {
      sums.set(chunk, row);
      row += chunk.length;
    }
    return Promise.resolve(sums);
  });
}

/** The rows that are equal to no row before them. */
async function firstOfEach(
  source: Datastore,
  folder: string,
  rowsAtOnce: number,
  sums: Float32Array | undefined,
  task: TaskOptions,
): Promise<RowBits> {
  const first = new RowBits(source.rows);
  const count = Math.ceil(source.rows / rowsAtOnce);
  if (count === 1) {
    const table = new FirstRows(source, source.rows, first, sums);
    for (const [row, hashes] of hashed(source, task)) {
      for (let i = 0; i < hashes.length; i++) table.add(hashes[i], row + i);
      await nextTurn();
    }
    return first;
  }
  try {
    const partitions = await HashPartitions.create(folder, count);
    try {
      for (const [row, hashes] of hashed(source, task)) await partitions.add(row, hashes);
      await compare(source, partitions, first, sums, task);
    } finally {
      await partitions.close();
    }
  } catch (cause) {
    throw describeWriteError(cause, folder, 'nothing was changed');
  }
  return first;
}

async function compare(
  source: Datastore,
  partitions: HashPartitions,
  first: RowBits,
  sums: Float32Array | undefined,
  { signal, onProgress }: TaskOptions,
): Promise<void> {
  let done = 0;
  for await (const records of partitions) {
    // A good hash spreads rows evenly; the table grows where it does not.
    const table = new FirstRows(source, 1024, first, sums);
    for await (const chunk of records) {
      throwIfAborted(signal, 'stopped while equal rows were looked for');
      for (let i = 0; i < chunk.length; i += 2) table.add(chunk[i], chunk[i + 1]);
      done += chunk.length / 2;
      onProgress?.({ stage: 'compare', done, total: source.rows, unit: 'rows' });
    }
  }
}

function* hashed(source: Datastore, { signal, onProgress }: TaskOptions): Generator<[number, Float64Array]> {
  const step = chunkRowsOf(source);
  for (let row = 0; row < source.rows; row += step) {
    throwIfAborted(signal, 'stopped while rows were hashed');
    const count = Math.min(step, source.rows - row);
    yield [row, hashRows(source.readStoredKeys(row, count), source.readValues(row, count))];
    onProgress?.({ stage: 'hash', done: row + count, total: source.rows, unit: 'rows' });
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
