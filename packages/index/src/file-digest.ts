import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { describeFileError, throwIfAborted, type TaskOptions } from '@knn-lm/common';

/** What identifies the content of a file. */
export interface FileDigest {
  /** Its length. */
  readonly bytes: number;
  /** SHA-256 of all of it, in hexadecimal digits. */
  readonly sha256: string;
}

const BYTES_AT_A_TIME = 1 << 20;

/**
 * Reads a whole file for its checksum.
 *
 * @param path - the file
 * @throws `KnnLmError` `FILE_…`; `CancelledError`
 */
export async function digestFile(
  path: string,
  { signal }: Pick<TaskOptions, 'signal'> = {},
): Promise<FileDigest> {
  try {
    const file = await open(path, 'r');
    try {
      const hash = createHash('sha256');
      const buffer = new Uint8Array(BYTES_AT_A_TIME);
      let bytes = 0;
      for (;;) {
        throwIfAborted(signal, `stopped while checking ${path}`);
        const { bytesRead } = await file.read(buffer, 0, buffer.length, bytes);
        if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') };
        hash.update(buffer.subarray(0, bytesRead));
        bytes += bytesRead;
      }
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw describeFileError(cause, path, 'read the index');
  }
}

/** The checksum of a file of any size, read at once: for the rare case in which it decides what a file is. */
export function sha256OfFile(path: string): string {
  const file = openSync(path, 'r');
  try {
    const hash = createHash('sha256');
    const buffer = new Uint8Array(BYTES_AT_A_TIME);
    for (let read = 1; read > 0;) {
      read = readSync(file, buffer);
      hash.update(buffer.subarray(0, read));
    }
    return hash.digest('hex');
  } finally {
    closeSync(file);
  }
}

/** Whether a parsed value is a checksum. */
export function isDigest(value: unknown): value is FileDigest {
  if (typeof value !== 'object' || value === null) return false;
  const { bytes, sha256 } = value as Record<string, unknown>;
  return typeof bytes === 'number' && typeof sha256 === 'string';
}
