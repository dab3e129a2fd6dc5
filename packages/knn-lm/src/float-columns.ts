import { open, rm, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeFileError, temporaryName } from '@knn-lm/common';

/** Rows that are gathered before they go to memory or disk: 4 MiB for 128 columns. */
const chunkRows = 8192;

/** How many numbers are kept in memory, and where the rest goes. */
export interface FloatColumnsOptions {
  /**
   * Bytes in memory before the rest goes to a file.
   *
   * @defaultValue 256 MiB
   */
  readonly memoryBytes?: number | undefined;
  /**
   * Folder of that file.
   *
   * @defaultValue the system's folder for temporary files
   */
  readonly scratchFolder?: string | undefined;
}

/**
 * A table of float32 that is written row by row and read column by column; what does not fit into its share of memory
 * goes to a file without a name, which the system removes however the process ends.
 */
export class FloatColumns {
  /** Numbers a row. */
  readonly columns: number;
  readonly #memoryBytes: number;
  readonly #folder: string;
  /** Chunks in memory, each `[columns, chunkRows]`. */
  readonly #chunks: Float32Array[] = [];
  #chunk: Float32Array;
  #chunkFill = 0;
  #spilled = 0;
  #file: FileHandle | undefined;

  /**
   * @param columns - numbers a row
   * @param options - share of memory, folder for the rest
   */
  constructor(columns: number, options: FloatColumnsOptions = {}) {
    this.columns = columns;
    this.#memoryBytes = options.memoryBytes ?? 256 * 2 ** 20;
    this.#folder = options.scratchFolder ?? tmpdir();
    this.#chunk = this.#newChunk();
  }

  /** Rows so far. */
  get rows(): number {
    return (this.#chunks.length + this.#spilled) * chunkRows + this.#chunkFill;
  }

  /** Bytes in the file. */
  get spilledBytes(): number {
    return this.#spilled * this.#chunk.byteLength;
  }

  /**
   * Appends some rows.
   *
   * @param rows - `[n, columns]` row-major
   * @throws `KnnLmError` `FILE_…` when the disk is full
   */
  async append(rows: Float64Array): Promise<void> {
    const { columns } = this;
    for (let at = 0; at < rows.length; at += columns) {
      for (let c = 0; c < columns; c++) this.#chunk[c * chunkRows + this.#chunkFill] = rows[at + c];
      this.#chunkFill++;
      if (this.#chunkFill === chunkRows) await this.#finishChunk();
    }
  }

  async #finishChunk(): Promise<void> {
    this.#chunkFill = 0;
    if ((this.#chunks.length + 2) * this.#chunk.byteLength <= this.#memoryBytes) {
      this.#chunks.push(this.#chunk);
      this.#chunk = this.#newChunk();
      return;
    }
    try {
      this.#file ??= await openNameless(this.#folder);
      const bytes = new Uint8Array(this.#chunk.buffer);
      await writeFully(this.#file, bytes, this.#spilled * bytes.length);
    } catch (cause) {
      throw describeFileError(cause, this.#folder, 'write a temporary file');
    }
    this.#spilled++;
  }

  /**
   * Reads a column.
   *
   * @param column - which
   * @returns `[rows]`
   */
  async read(column: number): Promise<Float32Array> {
    const result = new Float32Array(this.rows);
    const begin = column * chunkRows;
    let row = 0;
    for (const chunk of this.#chunks) {
      result.set(chunk.subarray(begin, begin + chunkRows), row);
      row += chunkRows;
    }
    for (let i = 0; i < this.#spilled; i++, row += chunkRows) {
      const target = new Uint8Array(result.buffer, row * 4, chunkRows * 4);
      await readFully(this.#file as FileHandle, target, i * this.#chunk.byteLength + begin * 4);
    }
    result.set(this.#chunk.subarray(begin, begin + this.#chunkFill), row);
    return result;
  }

  /** Frees the file. */
  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  #newChunk(): Float32Array {
    return new Float32Array(this.columns * chunkRows);
  }
}

/** An open file that has no name any more. */
async function openNameless(folder: string): Promise<FileHandle> {
  const path = temporaryName(join(folder, 'knn-lm-columns'));
  const file = await open(path, 'wx+');
  await rm(path);
  return file;
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

async function readFully(file: FileHandle, target: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < target.length;) {
    const { bytesRead } = await file.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) throw new RangeError('a temporary file is shorter than what was written');
    done += bytesRead;
  }
}
