import { keyBytes, type DatastoreShape } from './layout.js';
import { RowFiles, type RowFile } from './row-files.js';

/** Reads keys as they are on disk, without widening them. */
export class StoredKeys {
  readonly #files: RowFiles;
  readonly #shape: DatastoreShape;

  /**
   * @param files - of the keys
   * @param shape - the datastore's
   */
  constructor(files: readonly RowFile[], shape: DatastoreShape) {
    this.#files = new RowFiles(files, keyBytes(shape), "open the datastore's keys");
    this.#shape = shape;
  }

  /** Keys from row `start` on, `[count, dimension]`: half-precision patterns or float32. */
  read(start: number, count: number): Uint16Array | Float32Array {
    const bytes = new Uint8Array(count * keyBytes(this.#shape));
    this.#files.read(bytes, start);
    return this.#shape.dtype === 'fp16' ? new Uint16Array(bytes.buffer) : new Float32Array(bytes.buffer);
  }

  /** Closes the files. */
  close(): void {
    this.#files.close();
  }
}
