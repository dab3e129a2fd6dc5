import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureFolder } from '@knn-lm/common';

/** Records of a partition that are gathered before they are written. */
const bufferedRecords = 4096;

/** A hash and the row it is of, two float64. */
const recordNumbers = 2;

/**
 * Hashes and their rows on disk, parted by hash: equal rows are in the same partition. The files have no names once they
 * are open, so that nothing is left of them when the process ends, however it ends.
 */
export class HashPartitions {
  readonly #partitions: Partition[];

  private constructor(partitions: Partition[]) {
    this.#partitions = partitions;
  }

  /**
   * @param folder - on the disk that has room: 16 bytes a row
   * @param count - partitions
   */
  static async create(folder: string, count: number): Promise<HashPartitions> {
    await ensureFolder(folder);
    const scratch = await mkdtemp(join(folder, '.partitions-'));
    const partitions: Partition[] = [];
    try {
      for (let i = 0; i < count; i++)
        partitions.push(new Partition(await open(join(scratch, String(i)), 'wx+')));
      return new HashPartitions(partitions);
    } catch (error) {
      for (const partition of partitions) await partition.close();
      throw error;
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }

  /** Takes the hashes of consecutive rows. */
  async add(firstRow: number, hashes: Float64Array): Promise<void> {
    for (let i = 0; i < hashes.length; i++) {
      const partition = this.#partitions[hashes[i] % this.#partitions.length];
      if (partition.push(hashes[i], firstRow + i)) await partition.flush();
    }
  }

  /** Yields each partition's records in the order of the rows: hashes and rows alternate; buffers are reused. */
  async *[Symbol.asyncIterator](): AsyncGenerator<AsyncIterable<Float64Array>> {
    for (const partition of this.#partitions) {
      await partition.flush();
      yield partition.records();
    }
  }

  /** Closes the files, which are gone then. */
  async close(): Promise<void> {
    for (const partition of this.#partitions) await partition.close();
  }
}

class Partition {
  readonly #file: FileHandle;
  readonly #buffer = new Float64Array(bufferedRecords * recordNumbers);
  #used = 0;
  #bytes = 0;

  constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Whether the buffer is full now. */
  push(hash: number, row: number): boolean {
    this.#buffer[this.#used++] = hash;
    this.#buffer[this.#used++] = row;
    return this.#used === this.#buffer.length;
  }

  async flush(): Promise<void> {
    const bytes = new Uint8Array(this.#buffer.buffer, 0, this.#used * 8);
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#bytes + done);
      done += bytesWritten;
    }
    this.#bytes += bytes.length;
    this.#used = 0;
  }

  async *records(): AsyncGenerator<Float64Array> {
    const buffer = new Float64Array(Math.min(this.#bytes / 8, 1 << 16));
    for (let done = 0; done < this.#bytes;) {
      const bytes = new Uint8Array(buffer.buffer, 0, Math.min(buffer.byteLength, this.#bytes - done));
      for (let read = 0; read < bytes.length;) {
        const { bytesRead } = await this.#file.read(bytes, read, bytes.length - read, done + read);
        if (bytesRead === 0) throw new Error('a partition ends before its end');
        read += bytesRead;
      }
      yield buffer.subarray(0, bytes.length / 8);
      done += bytes.length;
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
