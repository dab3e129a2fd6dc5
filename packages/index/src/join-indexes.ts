import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import type { TaskOptions } from '@knn-lm/common';
import { mergeIndexFiles, type IndexPart } from '@knn-lm/faiss';
import { digestFile } from './file-digest.js';
import type { IndexDestination } from './index-destination.js';
import { listsFileOf, removeLeftovers } from './index-files.js';
import type { IndexRecord } from './index-record.js';

/** How {@link joinIndexes} works. */
export interface JoinOptions extends TaskOptions {
  /** Puts the lists into a file of their own. */
  readonly onDiskLists: boolean;
  /** Threads. */
  readonly threads?: number | undefined;
}

/**
 * Joins index files into one, under its final name and with its record; memory does not grow with them.
 *
 * @param parts - the files, in the order of their rows
 * @param destination - what they are to become
 */
export async function joinIndexes(
  parts: readonly IndexPart[],
  destination: IndexDestination,
  options: JoinOptions,
): Promise<void> {
  const { path, fingerprint } = destination;
  await removeLeftovers(path);
  // Of one length and another for each content: an index never names the lists of another.
  const tag = createHash('sha256')
    .update(fingerprint)
    .update(String(process.hrtime.bigint()))
    .digest('hex')
    .slice(0, 12);
  const listsPath = options.onDiskLists ? resolve(listsFileOf(path, tag)) : undefined;
  const joined = `${path}.joined`;
  const { signal, onProgress, threads } = options;
  try {
    // The parts are this program's own, or have been checked against their records.
    await mergeIndexFiles(parts, joined, { listsPath, trusted: true, signal, onProgress, threads });
    const digest = await digestFile(joined, { signal });
    const lists = listsPath === undefined ? undefined : await describeLists(listsPath, signal);
    await destination.moveIn(joined, digest, lists);
  } catch (error) {
    if (listsPath !== undefined && existsSync(joined)) await rm(listsPath, { force: true });
    await rm(joined, { force: true });
    throw error;
  }
}

async function describeLists(path: string, signal: AbortSignal | undefined): Promise<IndexRecord['lists']> {
  return { file: basename(path), ...(await digestFile(path, { signal })) };
}
