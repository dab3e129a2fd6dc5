import { setImmediate } from 'node:timers/promises';
import { float32FromFloat16 } from '@knn-lm/common';
import type { DistanceOptions, Engine, EngineFiles } from './engine.js';
import { keyBytes, valueBytes } from './layout.js';
import { RowFiles } from './row-files.js';
import { squaredDistance } from './squared-distance.js';

/** Bytes read at a time. */
const chunkBytes = 2 ** 20;

/** Reads with plain file reads: for machines where the addon cannot be built. The results are the same, bit for bit. */
export class PortableEngine implements Engine {
  readonly name = 'portable';
  readonly kernels = ['typescript'] as const;
  readonly #files: EngineFiles;
  readonly #keys: RowFiles | undefined;
  readonly #values: RowFiles | undefined;
  readonly #rowBytes: number;
  /** Asynchronous calls under way: the descriptors stay open until they end. */
  #running = 0;
  #closed = false;

  constructor(files: EngineFiles) {
    this.#files = files;
    this.#rowBytes = keyBytes(files);
    const { parts, needKeys, needValues } = files;
    const pick = (array: 'keys' | 'values') => parts.map((part) => ({ path: part[array], rows: part.rows }));
    if (needValues) this.#values = new RowFiles(pick('values'), valueBytes, "open the datastore's values");
    if (needKeys) this.#keys = new RowFiles(pick('keys'), this.#rowBytes, "open the datastore's keys");
  }

  readKeys(start: number, target: Float32Array): void {
    const { dimension, dtype } = this.#files;
    const keys = opened(this.#keys);
    if (dtype === 'fp32') return keys.read(bytesOf(target), start);
    const step = Math.max(1, Math.floor(chunkBytes / this.#rowBytes)) * dimension;
    const chunk = new Uint16Array(Math.min(target.length, step));
    for (let done = 0; done < target.length;) {
      const part = chunk.subarray(0, Math.min(chunk.length, target.length - done));
      keys.read(bytesOf(part), start + done / dimension);
      float32FromFloat16(part, target.subarray(done, done + part.length));
      done += part.length;
    }
  }

  readValues(start: number, target: Int32Array): number {
    const chunk = new Int32Array(Math.min(2 * target.length, chunkBytes / 4));
    for (let done = 0; done < target.length;) {
      const count = Math.min(chunk.length / 2, target.length - done);
      opened(this.#values).read(bytesOf(chunk.subarray(0, 2 * count)), start + done);
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

  async populate(part: number, byteOffset: number, byteLength: number): Promise<void> {
    const before = this.#files.parts.slice(0, part).reduce((sum, { rows }) => sum + rows, 0);
    const step = Math.max(1, Math.floor(chunkBytes / this.#rowBytes));
    const end = before + Math.ceil((byteOffset + byteLength) / this.#rowBytes);
    const chunk = new Uint8Array(step * this.#rowBytes);
    await this.#during(async () => {
      for (let row = before + Math.floor(byteOffset / this.#rowBytes); row < end; row += step) {
        await setImmediate();
        opened(this.#keys).read(chunk.subarray(0, Math.min(step, end - row) * this.#rowBytes), row);
      }
    });
  }

  /** Nothing is mapped: what was read is in the operating system's cache. */
  hold(): void {}

  close(): void {
    this.#closed = true;
    if (this.#running > 0) return;
    this.#keys?.close();
    this.#values?.close();
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

  #row(id: number): number {
    return id === -1 ? this.#files.rows - 1 : id;
  }
}

function opened(files: RowFiles | undefined): RowFiles {
  if (files === undefined) throw new TypeError('opened without this array');
  return files;
}

function bytesOf(array: Float32Array | Uint16Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
