import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { CancelledError, describeFileError, type TaskOptions } from '@knn-lm/common';
import { asCheckpointError } from '../container/open-container.js';

/** What can be seen of a file without reading it. */
export interface FileStamp {
  /** Name without the folder. */
  readonly name: string;
  /** Size in bytes. */
  readonly byteLength: number;
  /** Time of the last change, in milliseconds since 1970. */
  readonly modifiedMs: number;
}

/** Size and time of the last change. */
export async function fileStamp(path: string): Promise<FileStamp> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { name: basename(path), byteLength: size, modifiedMs: mtimeMs };
  } catch (cause) {
    throw asCheckpointError(describeFileError(cause, path, 'read the checkpoint'));
  }
}

/** SHA-256 (hex) of a file's bytes; about 1 s for a GB. */
export async function fileSha256(path: string, { signal, onProgress }: TaskOptions): Promise<string> {
  const { byteLength: total } = await fileStamp(path);
  const hash = createHash('sha256');
  let done = 0;
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20, signal })) {
      const bytes = chunk as Buffer;
      hash.update(bytes);
      done += bytes.length;
      onProgress?.({ stage: 'checksum', done, total, unit: 'bytes' });
    }
  } catch (cause) {
    if (signal?.aborted) throw new CancelledError('the conversion was stopped; nothing is kept', { cause });
    throw asCheckpointError(describeFileError(cause, path, 'read the checkpoint'));
  }
  return hash.digest('hex');
}
