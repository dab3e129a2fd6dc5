import { open, rm, type FileHandle } from 'node:fs/promises';
import { RandomAccessFile } from '@knn-lm/common';
import { asBytes } from './content.js';

/**
 * The neighbours of every entry, on the disk: raw int64 ids `[rows, k]` as the Python tool writes them, and optionally
 * raw float32 distances.
 */
export class NeighborScratch {
  /** The ids. */
  readonly path: string;
  readonly #k: number;
  readonly #ids: FileHandle;
  readonly #distances: FileHandle | undefined;

  private constructor(path: string, k: number, ids: FileHandle, distances: FileHandle | undefined) {
    this.path = path;
    this.#k = k;
    this.#ids = ids;
    this.#distances = distances;
  }

  /**
   * @param path - file of the ids
   * @param k - neighbours of an entry
   * @param distancesPath - file of the distances, if they are wanted
   */
  static async create(path: string, k: number, distancesPath: string | undefined): Promise<NeighborScratch> {
    const distances = distancesPath === undefined ? undefined : await open(distancesPath, 'w');
    return new NeighborScratch(path, k, await open(path, 'w'), distances);
  }

  /** Appends the neighbours of the next entries. */
  async append(ids: Float64Array, distances: Float32Array): Promise<void> {
    await this.#ids.writeFile(int64Of(ids));
    await this.#distances?.writeFile(asBytes(distances));
  }

  /** Opens what was written for reading in any order. */
  async reader(): Promise<NeighborReader> {
    await this.close();
    return new NeighborReader(this.path, this.#k);
  }

  /** Closes the files. */
  async close(): Promise<void> {
    await this.#ids.close();
    await this.#distances?.close();
  }

  /** Removes the ids. */
  async remove(): Promise<void> {
    await rm(this.path, { force: true });
  }
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
