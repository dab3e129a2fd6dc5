import { open, type FileHandle } from 'node:fs/promises';
import { DatastoreError, describeReadError } from './error.js';

/** Bytes read at a time when a part of an array is checked. */
const chunkBytes = 4 * 2 ** 20;

/** One of the two arrays of a datastore, open for appending: it never grows beyond what was written. */
export class ArrayFile {
  /** Path of the file. */
  readonly path: string;
  readonly #file: FileHandle;
  #size: number;

  private constructor(path: string, file: FileHandle, size: number) {
    this.path = path;
    this.#file = file;
    this.#size = size;
  }

  /**
   * Opens an array and cuts it to what is committed; a missing one is made when nothing is.
   *
   * @param path - the file
   * @param committedBytes - bytes that must be there
   * @throws {@link DatastoreError} `DATASTORE_DAMAGED` when fewer bytes are there than were committed
   */
  static async open(path: string, committedBytes: number): Promise<ArrayFile> {
    const file = await open(path, committedBytes === 0 ? 'a+' : 'r+').catch((cause: unknown) => {
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
        throw damaged(path, `it is gone, but ${committedBytes} bytes of it were committed`);
      throw cause;
    });
    // 'a+' creates without truncating but would ignore positions: it serves to make the file, and is opened again.
    if (committedBytes === 0) {
      await file.close();
      return ArrayFile.#cut(path, await open(path, 'r+'), 0);
    }
    return ArrayFile.#cut(path, file, committedBytes);
  }

  static async #cut(path: string, file: FileHandle, committedBytes: number): Promise<ArrayFile> {
    try {
      const { size } = await file.stat();
      if (size < committedBytes)
        throw damaged(path, `it has ${size} bytes, but ${committedBytes} bytes were committed`);
      if (size > committedBytes) await file.truncate(committedBytes);
      return new ArrayFile(path, file, committedBytes);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Appends bytes; a short write is continued. */
  async append(bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#size + done);
      done += bytesWritten;
    }
    this.#size += done;
  }

  /** Yields the bytes of a range in pieces that are overwritten by the next one. */
  async *read(byteOffset: number, byteLength: number): AsyncGenerator<Uint8Array> {
    const buffer = new Uint8Array(Math.min(byteLength, chunkBytes));
    for (let done = 0; done < byteLength;) {
      const wanted = Math.min(buffer.length, byteLength - done);
      const { bytesRead } = await this.#file
        .read(buffer, 0, wanted, byteOffset + done)
        .catch((cause: unknown) => {
          throw describeReadError(cause, this.path, 'read back what was committed');
        });
      if (bytesRead === 0) throw damaged(this.path, `it ends at byte ${byteOffset + done}`);
      yield buffer.subarray(0, bytesRead);
      done += bytesRead;
    }
  }

  /** Returns when what was appended is on the disk. */
  async sync(): Promise<void> {
    await this.#file.datasync();
  }

  /** Closes the file. */
  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** The error for an array that does not hold what its manifest promises. */
export function damaged(path: string, reason: string): DatastoreError {
  return new DatastoreError('DATASTORE_DAMAGED', `${path} is damaged: ${reason}`, {
    hint: 'Restore the datastore from a copy, or make it again (--overwrite).',
    details: { path },
  });
}
