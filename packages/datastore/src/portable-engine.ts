import { setImmediate } from 'node:timers/promises';
import { RandomAccessFile, float32FromFloat16 } from '@knn-lm/common';
import type { DistanceOptions, Engine, EngineFiles } from './engine.js';
import { keyBytes, valueBytes } from './layout.js';
import { squaredDistance } from './squared-distance.js';

/** Bytes read at a time. */
const chunkBytes = 2 ** 20;

/** Reads with plain file reads: for machines where the addon cannot be built. The results are the same, bit for bit. */
export class PortableEngine implements Engine {
  readonly name = 'portable';
  readonly kernels = ['typescript'] as const;
  readonly populateBytes = 64 * 2 ** 20;
  readonly #files: EngineFiles;
  readonly #keys: RandomAccessFile | undefined;
  readonly #values: RandomAccessFile;
  readonly #rowBytes: number;
  /** Asynchronous calls under way: the descriptors stay open until they end. */
  #running = 0;
  #closed = false;

  constructor(files: EngineFiles) {
    this.#files = files;
    this.#rowBytes = keyBytes(files);
    this.#values = new RandomAccessFile(files.values, "open the datastore's values");
    if (files.keys !== undefined) this.#keys = new RandomAccessFile(files.keys, "open the datastore's keys");
  }

  readKeys(start: number, target: Float32Array): void {
    const { dimension, dtype } = this.#files;
    const keys = this.#keyFile();
    if (dtype === 'fp32') return keys.read(bytesOf(target), start * this.#rowBytes);
    const chunk = new Uint16Array(Math.min(target.length, chunkBytes / 2));
    for (let done = 0; done < target.length;) {
      const part = chunk.subarray(0, Math.min(chunk.length, target.length - done));
      keys.read(bytesOf(part), (start * dimension + done) * 2);
      float32FromFloat16(part, target.subarray(done, done + part.length));
      done += part.length;
    }
  }

  readValues(start: number, target: Int32Array): number {
    const chunk = new Int32Array(Math.min(2 * target.length, chunkBytes / 4));
    for (let done = 0; done < target.length;) {
      const count = Math.min(chunk.length / 2, target.length - done);
      this.#values.read(bytesOf(chunk.subarray(0, 2 * count)), (start + done) * valueBytes);
      for (let i = 0; i < count; i++) {
        if (chunk[2 * i + 1] !== chunk[2 * i] >> 31) return start + done + i;
        target[done + i] = chunk[2 * i];
      }
      done += count;
    }
    return -1;
  }

  gatherKeys(ids: Float64Array, target: Float32Array): void {
    const { dimension } = this.#files;
    for (let i = 0; i < ids.length; i++)
      this.readKeys(this.#row(ids[i]), target.subarray(i * dimension, (i + 1) * dimension));
  }

  gatherValues(ids: Float64Array, target: Int32Array): number {
    for (let i = 0; i < ids.length; i++) {
      const wrong = this.readValues(this.#row(ids[i]), target.subarray(i, i + 1));
      if (wrong >= 0) return wrong;
    }
    return -1;
  }

  async squaredDistances(
    queries: Float32Array,
    ids: Float64Array,
    k: number,
    target: Float32Array,
    { missing }: DistanceOptions,
  ): Promise<void> {
    const { dimension } = this.#files;
    const key = new Float32Array(dimension);
    // Copies, as in the addon: what the caller does to the arrays meanwhile changes nothing.
    const [ownQueries, ownIds] = [queries.slice(), ids.slice()];
    const distances = new Float32Array(ids.length);
    await this.#during(async () => {
      for (let pair = 0; pair < ownIds.length; pair++) {
        // Once a query, so that the event loop turns.
        if (pair % k === 0) await setImmediate();
        if (ownIds[pair] === -1 && missing === 'infinity') {
          distances[pair] = Infinity;
          continue;
        }
        this.readKeys(this.#row(ownIds[pair]), key);
        distances[pair] = squaredDistance(ownQueries, Math.floor(pair / k) * dimension, key);
      }
    });
    if (target.length === distances.length) target.set(distances);
  }

  async populate(part: number): Promise<boolean> {
    const size = this.#files.rows * this.#rowBytes;
    const start = part * this.populateBytes;
    if (start >= size) return false;
    const end = Math.min(start + this.populateBytes, size);
    const chunk = new Uint8Array(Math.min(chunkBytes, size));
    await this.#during(async () => {
      for (let at = start; at < end; at += chunk.length) {
        await setImmediate();
        this.#keyFile().read(chunk.subarray(0, Math.min(chunk.length, end - at)), at);
      }
    });
    return true;
  }

  close(): void {
    this.#closed = true;
    if (this.#running > 0) return;
    this.#keys?.close();
    this.#values.close();
  }

  async #during(call: () => Promise<void>): Promise<void> {
    this.#running++;
    try {
      await call();
    } finally {
      this.#running--;
      if (this.#closed) this.close();
    }
  }

  #keyFile(): RandomAccessFile {
    if (this.#keys === undefined) throw new TypeError('opened without keys');
    return this.#keys;
  }

  #row(id: number): number {
    return id === -1 ? this.#files.rows - 1 : id;
  }
}

function bytesOf(array: Float32Array | Uint16Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
