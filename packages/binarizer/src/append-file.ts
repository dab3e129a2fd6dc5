import { createReadStream } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';

/**
 * Appends the content of a file to an open one, in pieces.
 *
 * @param target - open for writing
 * @param path - what to append
 * @returns the last byte appended; `undefined` for an empty file
 */
export async function appendFileTo(target: FileHandle, path: string): Promise<number | undefined> {
  let lastByte: number | undefined;
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    const bytes = piece as Buffer;
    await target.writeFile(bytes);
    lastByte = bytes.at(-1);
  }
  return lastByte;
}
