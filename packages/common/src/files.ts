import { open, rename, rm, mkdir, type FileHandle } from 'node:fs/promises';
import { readSync, fstatSync, openSync, closeSync } from 'node:fs';
import { dirname, basename, join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { KnnLmError } from './errors.js';

/** A name in the same folder, so that a rename stays on one file system; hidden, and unlike any other process's. */
export function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`);
}

/**
 * Writes a file so that its final name never holds half of it: a temporary file in the same folder, `fsync`, rename.
 *
 * @param path - final name
 * @param write - writes the content to the open temporary file
 * @throws whatever `write` or the file system throws; the temporary file is gone then, the old file untouched
 */
export async function writeFileAtomic(
  path: string,
  write: Uint8Array | string | ((file: FileHandle) => Promise<void>),
): Promise<void> {
  const temporary = temporaryName(path);
  const file = await open(temporary, 'wx');
  try {
    if (typeof write === 'function') await write(file);
    else await file.writeFile(write);
    await file.sync();
    await file.close();
    await rename(temporary, path);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Makes a folder and its parents; a file of that name is an error that says so. */
export async function ensureFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    throw describeFileError(cause, path, 'make the folder');
  }
}

const reasons: Record<string, [reason: string, hint: string]> = {
  ENOENT: ['it does not exist', 'Check the path.'],
  EACCES: ['permission denied', 'Check the permissions of the file and its folder.'],
  EPERM: ['not permitted', 'Check the permissions of the file and its folder.'],
  EISDIR: ['it is a folder', 'Give the path of a file.'],
  ENOTDIR: ['a part of its path is not a folder', 'Check the path.'],
  EEXIST: ['it exists already', 'Choose another path, or remove it.'],
  ENOSPC: ['the disk is full', 'Free some space and run the same command again.'],
  EROFS: ['the file system is read-only', 'Choose a path that can be written.'],
  EMFILE: ['too many open files', 'Raise the limit (ulimit -n).'],
  EIO: ['the disk reports an error', 'Check the disk.'],
};

/**
 * Turns a file system error into a {@link KnnLmError} for people: which file, what could not be done, why, what to do.
 * Errors of other kinds are returned as they are.
 *
 * @param cause - what was thrown
 * @param path - the file
 * @param action - what was tried, as a verb phrase: `read the dictionary`
 */
export function describeFileError(cause: unknown, path: string, action: string): unknown {
  const systemCode = (cause as NodeJS.ErrnoException | undefined)?.code;
  if (cause instanceof KnnLmError || typeof systemCode !== 'string') return cause;
  const [reason, hint] = reasons[systemCode] ?? [systemCode, undefined];
  return new KnnLmError(`FILE_${systemCode}`, `cannot ${action}: ${path}: ${reason}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { path },
    cause,
  });
}

/**
 * A file open for reading at known offsets, whose size is known before anything is allocated.
 */
export class RandomAccessFile {
  /** Path as given. */
  readonly path: string;
  /** Size in bytes when it was opened. */
  readonly size: number;
  readonly #descriptor: number;

  /**
   * @param path - the file
   * @param action - what it is opened for, for the message when that fails
   * @throws {@link KnnLmError} `FILE_…` when it cannot be opened or is not a regular file
   */
  constructor(path: string, action = 'open the file') {
    this.path = path;
    try {
      this.#descriptor = openSync(path, 'r');
    } catch (cause) {
      throw describeFileError(cause, path, action);
    }
    const stat = fstatSync(this.#descriptor);
    if (!stat.isFile()) {
      closeSync(this.#descriptor);
      throw new KnnLmError('FILE_EISDIR', `cannot ${action}: ${path}: it is not a regular file`, {
        hint: 'Give the path of a file.',
        details: { path },
      });
    }
    this.size = stat.size;
  }

  /**
   * Reads bytes into a view.
   *
   * @param target - filled completely
   * @param byteOffset - where in the file to begin
   * @throws {@link KnnLmError} `FILE_TRUNCATED` when the file ends before `target` is full
   */
  read(target: Uint8Array, byteOffset: number): void {
    let done = 0;
    while (done < target.length) {
      const count = readSync(this.#descriptor, target, done, target.length - done, byteOffset + done);
      if (count === 0) {
        throw new KnnLmError(
          'FILE_TRUNCATED',
          `${this.path}: ends at byte ${byteOffset + done}, but ${target.length} bytes are expected from byte ${byteOffset} on`,
          {
            hint: 'The file is cut short; make it again or copy it again.',
            details: { path: this.path, byteOffset },
          },
        );
      }
      done += count;
    }
  }

  /**
   * Reads bytes into a new buffer, after checking that the file has them.
   *
   * @param byteOffset - where to begin
   * @param byteLength - how many bytes
   * @throws {@link KnnLmError} `FILE_TRUNCATED`
   */
  readBytes(byteOffset: number, byteLength: number): Uint8Array {
    if (byteOffset + byteLength > this.size) {
      throw new KnnLmError(
        'FILE_TRUNCATED',
        `${this.path}: has ${this.size} bytes, but bytes ${byteOffset} to ${byteOffset + byteLength} are needed`,
        {
          hint: 'The file is cut short; make it again or copy it again.',
          details: { path: this.path, size: this.size, byteOffset },
        },
      );
    }
    const bytes = new Uint8Array(byteLength);
    this.read(bytes, byteOffset);
    return bytes;
  }

  /** Closes the file; reading after this fails. */
  close(): void {
    closeSync(this.#descriptor);
  }
}
