import { open, readFile, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { RandomAccessFile, writeFileAtomic } from '@knn-lm/common';
import { asBytes } from './content.js';

/** The neighbours that were looked up count at the latest after this time. */
const commitIntervalMs = 30_000;

/** A record is some hundred bytes. */
const maxRecordBytes = 4096;

/** What neighbours are looked up, and where they are kept. */
export interface NeighborScratchOptions {
  /** Neighbours of an entry. */
  readonly k: number;
  /** Entries there are. */
  readonly rows: number;
  /** Whether the distances are kept too. */
  readonly keepDistances: boolean;
  /** Tells one search from another: an interrupted one is continued only by the same. */
  readonly madeFrom: string;
}

/**
 * The neighbours of every entry, on the disk: raw int64 ids `[rows, k]` as the Python tool writes them, and optionally
 * raw float32 distances. `datastore_knn_idx.json` says how many entries of an unfinished search count, so that another
 * run goes on after them.
 */
export class NeighborScratch {
  readonly #paths: ScratchPaths;
  readonly #options: NeighborScratchOptions;
  readonly #ids: FileHandle;
  readonly #distances: FileHandle | undefined;
  #rows: number;
  #committedAt = Date.now();

  private constructor(
    paths: ScratchPaths,
    options: NeighborScratchOptions,
    files: readonly [FileHandle, FileHandle | undefined],
    rows: number,
  ) {
    this.#paths = paths;
    this.#options = options;
    [this.#ids, this.#distances] = files;
    this.#rows = rows;
  }

  /** Begins, or goes on with what an interrupted run of the same search left in the folder. */
  static async open(folder: string, options: NeighborScratchOptions): Promise<NeighborScratch> {
    const paths = pathsIn(folder);
    const { k, keepDistances, madeFrom } = options;
    const recorded = await recordedRows(paths.record, madeFrom);
    const there = Math.min(
      (await sizeOf(paths.ids)) / (8 * k),
      keepDistances ? (await sizeOf(paths.distances)) / (4 * k) : Infinity,
    );
    // Files that are shorter than recorded were changed: nothing of them is taken.
    const rows = there >= recorded ? recorded : 0;
    const ids = await openAt(paths.ids, rows * k * 8);
    try {
      const distances = keepDistances ? await openAt(paths.distances, rows * k * 4) : undefined;
      return new NeighborScratch(paths, options, [ids, distances], rows);
    } catch (error) {
      await ids.close();
      throw error;
    }
  }

  /** Entries whose neighbours are there. */
  get rows(): number {
    return this.#rows;
  }

  /** Appends the neighbours of the next entries. */
  async append(ids: Float64Array, distances: Float32Array): Promise<void> {
    const { k, rows } = this.#options;
    await this.#ids.write(int64Of(ids), 0, ids.length * 8, this.#rows * k * 8);
    await this.#distances?.write(asBytes(distances), 0, ids.length * 4, this.#rows * k * 4);
    this.#rows += ids.length / k;
    if (Date.now() - this.#committedAt >= commitIntervalMs || this.#rows === rows) await this.commit();
  }

  /** Makes what is there count, whatever happens afterwards. */
  async commit(): Promise<void> {
    this.#committedAt = Date.now();
    await Promise.all([this.#ids.datasync(), this.#distances?.datasync()]);
    const record = { madeFrom: this.#options.madeFrom, rows: this.#rows };
    await writeFileAtomic(this.#paths.record, JSON.stringify(record));
  }

  /** Opens what was written for reading in any order. */
  reader(): NeighborReader {
    return new NeighborReader(this.#paths.ids, this.#options.k);
  }

  /** Closes the files. */
  async close(): Promise<void> {
    await this.#ids.close();
    await this.#distances?.close();
  }

  /** Removes what nobody needs any more; ids and distances stay where they are kept. */
  async finish(): Promise<void> {
    await rm(this.#paths.record, { force: true });
    if (!this.#options.keepDistances) await rm(this.#paths.ids, { force: true });
  }
}

interface ScratchPaths {
  readonly ids: string;
  readonly distances: string;
  readonly record: string;
}

function pathsIn(folder: string): ScratchPaths {
  return {
    ids: join(folder, 'datastore_knn_idx.npy'),
    distances: join(folder, 'datastore_knn_distance.npy'),
    record: join(folder, 'datastore_knn_idx.json'),
  };
}

/** A record that cannot be read counts nothing. */
async function recordedRows(path: string, madeFrom: string): Promise<number> {
  try {
    const text = await readFile(path, 'utf8');
    const record = JSON.parse(text.slice(0, maxRecordBytes)) as Record<string, unknown>;
    const { rows } = record;
    return record['madeFrom'] === madeFrom && Number.isSafeInteger(rows) ? (rows as number) : 0;
  } catch {
    return 0;
  }
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => ({ size: 0 }))).size;
}

/** Opens a file cut to a length that it has. */
async function openAt(path: string, byteLength: number): Promise<FileHandle> {
  const file = await open(path, byteLength > 0 ? 'r+' : 'w');
  await file.truncate(byteLength);
  return file;
}

/** Reads the neighbours of entries in any order. */
export class NeighborReader {
  readonly #file: RandomAccessFile;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #ids: Float64Array;

  constructor(path: string, k: number) {
    this.#file = new RandomAccessFile(path, 'read the neighbours');
    this.#words = new Int32Array(2 * k);
    this.#bytes = new Uint8Array(this.#words.buffer);
    this.#ids = new Float64Array(k);
  }

  /** The ids of one entry, nearest first, -1 for a missing one; the array is reused. */
  of(row: number): Float64Array {
    this.#file.read(this.#bytes, row * this.#bytes.length);
    for (let i = 0; i < this.#ids.length; i++)
      this.#ids[i] = this.#words[2 * i + 1] * 2 ** 32 + (this.#words[2 * i] >>> 0);
    return this.#ids;
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }
}

/** Widens ids, whole numbers from -1 on, to int64. */
function int64Of(ids: Float64Array): Uint8Array {
  const words = new Int32Array(2 * ids.length);
  for (let i = 0; i < ids.length; i++) {
    words[2 * i] = (ids[i] % 2 ** 32) | 0;
    words[2 * i + 1] = Math.floor(ids[i] / 2 ** 32);
  }
  return asBytes(words);
}
