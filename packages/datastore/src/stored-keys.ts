import { RandomAccessFile } from '@knn-lm/common';
import { datastorePaths, keyBytes, type DatastoreShape } from './layout.js';

/** Reads keys as they are on disk, without widening them. */
export class StoredKeys {
  readonly #file: RandomAccessFile;
  readonly #shape: DatastoreShape;

  /**
   * @param folder - of the datastore
   * @param shape - the datastore's
   */
  constructor(folder: string, shape: DatastoreShape) {
    this.#file = new RandomAccessFile(datastorePaths(folder).keys, "open the datastore's keys");
    this.#shape = shape;
  }

  /** Keys from row `start` on, `[count, dimension]`: half-precision patterns or float32. */
  read(start: number, count: number): Uint16Array | Float32Array {
    const rowBytes = keyBytes(this.#shape);
    const bytes = new Uint8Array(count * rowBytes);
    this.#file.read(bytes, start * rowBytes);
    return this.#shape.dtype === 'fp16' ? new Uint16Array(bytes.buffer) : new Float32Array(bytes.buffer);
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }
}
