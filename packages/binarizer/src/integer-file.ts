import { open, type FileHandle } from 'node:fs/promises';
import { describeFileError } from '@knn-lm/common';
import type { Storage } from './dataset-writer.js';
import { encodeTokens } from './element-type.js';

/** Integers held in memory before they are written. */
const BUFFER_LENGTH = 2 ** 16;

/** A file of integers that grows at its end. There are two buffers: one is filled while the other is being written. */
export class IntegerFile {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #storage: Pick<Storage, 'element' | 'bias'>;
  #filling = new Int32Array(BUFFER_LENGTH);
  #other = new Int32Array(BUFFER_LENGTH);
  #count = 0;
  #writing: Promise<void> = Promise.resolve();

  private constructor(file: FileHandle, path: string, storage: Pick<Storage, 'element' | 'bias'>) {
    this.#file = file;
    this.#path = path;
    this.#storage = storage;
  }

  /** Makes the file, which must not be there yet. @throws KnnLmError `FILE_…` */
  static async create(path: string, storage: Pick<Storage, 'element' | 'bias'>): Promise<IntegerFile> {
    try {
      return new IntegerFile(await open(path, 'wx'), path, storage);
    } catch (cause) {
      throw describeFileError(cause, path, 'write the dataset');
    }
  }

  /** How many can be added before {@link IntegerFile.flush} must be called. */
  get room(): number {
    return BUFFER_LENGTH - this.#count;
  }

  /** Adds integers, at most as many as there is room for. */
  add(integers: Int32Array): void {
    this.#filling.set(integers, this.#count);
    this.#count += integers.length;
  }

  /** Adds one integer; there must be room. */
  push(integer: number): void {
    this.#filling[this.#count++] = integer;
  }

  /**
   * Begins to write what was added, when what was written before is done.
   *
   * @throws KnnLmError `FILE_…` of what was written before
   */
  async flush(): Promise<void> {
    await this.#writing;
    const integers = this.#filling.subarray(0, this.#count);
    [this.#filling, this.#other] = [this.#other, this.#filling];
    this.#count = 0;
    this.#writing = this.#write(integers);
    // Thrown by the next call.
    this.#writing.catch(() => undefined);
  }

  /** Writes all that was added. @throws KnnLmError `FILE_…` */
  async finish(): Promise<void> {
    await this.flush();
    await this.#writing;
  }

  /** Closes the file. */
  close(): Promise<void> {
    return this.#file.close();
  }

  async #write(integers: Int32Array): Promise<void> {
    const { element, bias } = this.#storage;
    try {
      await this.#file.writeFile(encodeTokens(integers, element, bias));
    } catch (cause) {
      throw describeFileError(cause, this.#path, 'write the dataset');
    }
  }
}
