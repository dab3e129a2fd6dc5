import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { asBytes, contentOf } from './content.js';
import type { Datastore } from './datastore.js';
import { chunkRowsOf, warnOfWeights, type Derived, type DeriveOptions } from './derive.js';
import { describeWriteError } from './error.js';
import { HashPartitions } from './hash-partitions.js';
import { RowBits } from './row-bits.js';
import { hashRows } from './row-hash.js';
import { selectRows } from './select.js';

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
 * When it was interrupted the hashing is repeated; the copying goes on where it stopped.
 *
 * Memory: the table of {@link DedupOptions.rowsAtOnce}, one bit a row, and 64 KiB a partition.
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
  warnOfWeights([source], others);
  const first = await firstOfEach(source, folder, rowsAtOnce, others);
  const identity = { dedupedFrom: contentOf(source) };
  const derived = await selectRows(source, first, folder, { ...others, identity });
  return { ...derived, dropped: source.rows - derived.rows };
}

/** The rows that are equal to no row before them. */
async function firstOfEach(
  source: Datastore,
  folder: string,
  rowsAtOnce: number,
  task: TaskOptions,
): Promise<RowBits> {
  const first = new RowBits(source.rows);
  const count = Math.ceil(source.rows / rowsAtOnce);
  if (count === 1) {
    const table = new FirstRows(source, source.rows, first);
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
      await compare(source, partitions, first, task);
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
  { signal, onProgress }: TaskOptions,
): Promise<void> {
  let done = 0;
  for await (const records of partitions) {
    // A good hash spreads rows evenly; the table grows where it does not.
    const table = new FirstRows(source, 1024, first);
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

/** A hash table with open addressing: the first row of each content. */
class FirstRows {
  readonly #source: Datastore;
  readonly #first: RowBits;
  #hashes: Float64Array;
  #rows: Float64Array;
  #used = 0;

  /**
   * @param source - to compare rows
   * @param expected - rows
   * @param first - receives the rows that are equal to none before
   */
  constructor(source: Datastore, expected: number, first: RowBits) {
    this.#source = source;
    this.#first = first;
    const slots = 2 ** Math.ceil(Math.log2(Math.max(expected, 1) * 1.5 + 1));
    this.#hashes = new Float64Array(slots);
    this.#rows = new Float64Array(slots).fill(-1);
  }

  /** Takes a row; rows come in ascending order. */
  add(hash: number, row: number): void {
    if (this.#used > 0.7 * this.#rows.length) this.#grow();
    const mask = this.#rows.length - 1;
    for (let slot = slotOf(hash, mask); ; slot = (slot + 1) & mask) {
      if (this.#rows[slot] < 0) {
        this.#hashes[slot] = hash;
        this.#rows[slot] = row;
        this.#used++;
        this.#first.add(row);
        return;
      }
      if (this.#hashes[slot] === hash && this.#equal(this.#rows[slot], row)) return;
    }
  }

  #grow(): void {
    const [hashes, rows] = [this.#hashes, this.#rows];
    this.#hashes = new Float64Array(2 * hashes.length);
    this.#rows = new Float64Array(2 * rows.length).fill(-1);
    const mask = this.#rows.length - 1;
    for (let i = 0; i < rows.length; i++) {
      if (rows[i] < 0) continue;
      let slot = slotOf(hashes[i], mask);
      while (this.#rows[slot] >= 0) slot = (slot + 1) & mask;
      this.#hashes[slot] = hashes[i];
      this.#rows[slot] = rows[i];
    }
  }

  #equal(a: number, b: number): boolean {
    const source = this.#source;
    if (source.readValues(a, 1)[0] !== source.readValues(b, 1)[0]) return false;
    return Buffer.compare(asBytes(source.readStoredKeys(a, 1)), asBytes(source.readStoredKeys(b, 1))) === 0;
  }
}

/** The upper bits choose the slot: the lower ones chose the partition. */
function slotOf(hash: number, mask: number): number {
  return Math.floor(hash / 2 ** 16) & mask;
}
