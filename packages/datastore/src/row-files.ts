import { RandomAccessFile } from '@knn-lm/common';

/** Files that are open at a time; the one that was not read for longest is closed for another. */
const openFiles = 16;

/** One file of an array, and its rows. */
export interface RowFile {
  /** Path of the file. */
  readonly path: string;
  /** Rows of it that count. */
  readonly rows: number;
}

/** Rows of equal size in one or more files, one after the other. */
export class RowFiles {
  /** Rows of all files. */
  readonly rows: number;
  readonly #files: readonly RowFile[];
  readonly #rowBytes: number;
  readonly #action: string;
  /** In the order of their last use. */
  readonly #open = new Map<number, RandomAccessFile>();

  /**
   * @param files - in order; the first is opened at once
   * @param rowBytes - bytes of a row
   * @param action - what they are opened for, for messages
   */
  constructor(files: readonly RowFile[], rowBytes: number, action: string) {
    this.#files = files;
    this.#rowBytes = rowBytes;
    this.#action = action;
    this.rows = files.reduce((sum, { rows }) => sum + rows, 0);
    this.#file(0);
  }

  /**
   * Reads whole rows into a view.
   *
   * @param target - filled completely
   * @param start - the first row
   */
  read(target: Uint8Array, start: number): void {
    let [first, row, done] = [0, start, 0];
    for (const [i, { rows }] of this.#files.entries()) {
      const count = Math.min(first + rows - row, (target.length - done) / this.#rowBytes);
      first += rows;
      if (count <= 0) continue;
      const bytes = target.subarray(done, done + count * this.#rowBytes);
      this.#file(i).read(bytes, (row - first + rows) * this.#rowBytes);
      row += count;
      done += bytes.length;
      if (done === target.length) return;
    }
  }

  /** Closes the files. */
  close(): void {
    for (const file of this.#open.values()) file.close();
    this.#open.clear();
  }

  #file(i: number): RandomAccessFile {
    const file = this.#open.get(i) ?? new RandomAccessFile(this.#files[i].path, this.#action);
    this.#open.delete(i);
    this.#open.set(i, file);
    if (this.#open.size > openFiles) {
      const [oldest] = this.#open.keys();
      this.#open.get(oldest)?.close();
      this.#open.delete(oldest);
    }
    return file;
  }
}
