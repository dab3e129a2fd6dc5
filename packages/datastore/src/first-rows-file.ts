import { createHash } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureFolder, writeFileAtomic } from '@knn-lm/common';
import { describeWriteError } from './error.js';
import { RowBits } from './row-bits.js';

/** Name of the file in the new datastore's folder, until that is finished. */
const name = 'datastore.first-rows';

/** The file begins with the SHA-256 of what it was made from and of its content. */
const headBytes = 64;

/** Keeps the rows that are equal to none before them: one bit a row. */
export async function saveFirstRows(folder: string, rows: RowBits, madeFrom: string): Promise<void> {
  try {
    await ensureFolder(folder);
    await writeFileAtomic(join(folder, name), Buffer.concat([headOf(madeFrom, rows.bytes), rows.bytes]));
  } catch (cause) {
    throw describeWriteError(cause, folder, 'nothing was changed');
  }
}

/** Reads what was kept; `undefined` where there is nothing of the same source. */
export async function loadFirstRows(
  folder: string,
  rows: number,
  madeFrom: string,
): Promise<RowBits | undefined> {
  const bytes = await readFile(join(folder, name)).catch(() => undefined);
  if (bytes === undefined) return undefined;
  const content = bytes.subarray(headBytes);
  return headOf(madeFrom, content).equals(bytes.subarray(0, headBytes))
    ? RowBits.from(rows, content)
    : undefined;
}

/** Removes what was kept. */
export async function removeFirstRows(folder: string): Promise<void> {
  await rm(join(folder, name), { force: true });
}

function headOf(madeFrom: string, content: Uint8Array): Buffer {
  const digest = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest();
  return Buffer.concat([digest(madeFrom), digest(content)]);
}
