import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TaskOptions } from '@knn-lm/common';
import { matchesDigest, readIndexRecord } from './index-record.js';

/**
 * Compares index files, and the files of their lists, with the checksums that were recorded when they were written. Reads
 * all of them.
 *
 * @param paths - the index, or its shards
 * @param task - `signal` stops it
 * @returns the files that are not what was recorded; those without a record, as the Python tools leave them, are not looked
 * at
 */
export async function findChangedFiles(
  paths: readonly string[],
  task: Pick<TaskOptions, 'signal'> = {},
): Promise<string[]> {
  const changed: string[] = [];
  for (const path of paths) {
    const record = readIndexRecord(path);
    if (record === undefined) continue;
    if (!(await matchesDigest(path, record, task))) changed.push(path);
    if (record.lists === undefined) continue;
    const lists = join(dirname(path), record.lists.file);
    if (!existsSync(lists) || !(await matchesDigest(lists, record.lists, task))) changed.push(lists);
  }
  return changed;
}
