import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskOptions } from '@knn-lm/common';
import { KnnIndexError } from './errors.js';
import { bytesOfIndex, describeFinishedIndex } from './existing-index.js';
import { IndexDestination } from './index-destination.js';
import { findShards, INDEX_FILE } from './index-files.js';
import { matchesDigest, readIndexRecord, recordPath, type IndexRecord } from './index-record.js';
import { joinIndexes } from './join-indexes.js';
import { checkShards } from './shard-records.js';

/** How {@link mergeIndexShards} works. */
export interface MergeShardsOptions extends TaskOptions {
  /** Puts the lists of the index into a file of their own, which is mapped when it is opened. @default false */
  readonly onDiskLists?: boolean | undefined;
  /** Replaces a finished index. @default false */
  readonly overwrite?: boolean | undefined;
  /** Removes the shards when the index is complete. @default false */
  readonly removeShards?: boolean | undefined;
  /** Threads. @default all cores */
  readonly threads?: number | undefined;
}

/** What {@link mergeIndexShards} did. */
export interface MergedIndex {
  /** The index. */
  readonly path: string;
  /** Shards it was made of. */
  readonly shards: number;
  /** Keys in it. */
  readonly size: number;
  /** Size of the file, and of that of its lists where they are in another. */
  readonly bytes: number;
  /** What it is, in one line. */
  readonly description: string;
  /** A finished index was there and has been kept. */
  readonly kept: boolean;
}

/**
 * Makes one index of the shards in a folder: the file that building it at once would have given, byte for byte. The lists
 * are copied piece by piece, so that memory does not grow with them.
 *
 * @param folder - the datastore's folder
 * @param options - see {@link MergeShardsOptions}
 * @throws {@link KnnIndexError} `KNN_INDEX_SHARDS` when shards are missing, damaged, or not from one trained index and one
 * datastore; `FaissError` `FAISS_MERGE_KIND` for kinds that cannot be joined (fast scan)
 * @throws `CancelledError`; nothing is left then
 */
export async function mergeIndexShards(
  folder: string,
  options: MergeShardsOptions = {},
): Promise<MergedIndex> {
  const path = join(folder, INDEX_FILE);
  const shards = findShards(folder);
  if (shards.length === 0) {
    throw new KnnIndexError('KNN_INDEX_SHARDS', `${folder} has no shards of an index`, {
      hint: 'Build them with build_faiss_index --num-shards N --shard-id I.',
      details: { folder },
    });
  }
  const records = shards.map((shard) => checkRecord(shard, readIndexRecord(shard)));
  checkShards(shards, records);
  const [{ type, dimension, trainedSha256, datastore }] = records;
  const size = records.reduce((sum, { rows }) => sum + rows, 0);
  const about = () => ({
    path,
    shards: shards.length,
    size,
    bytes: bytesOfIndex(path),
    description: describeFinishedIndex(path, { rows: size, dimension }),
  });
  if (existsSync(path) && options.overwrite !== true) {
    options.logger?.info(`${path} is there already and is kept; --overwrite replaces it`);
    return { ...about(), kept: true };
  }
  for (const [i, shard] of shards.entries()) await checkUnchanged(shard, records[i], options);
  const destination = new IndexDestination(path, { type, dimension, rows: size, trainedSha256, datastore });
  const parts = shards.map((shard, i) => ({ path: shard, firstId: records[i].firstRow ?? 0 }));
  await joinIndexes(parts, destination, { ...options, onDiskLists: options.onDiskLists ?? false });
  if (options.removeShards === true) await removeFiles(shards, records, folder);
  return { ...about(), kept: false };
}

function checkRecord(path: string, record: IndexRecord | undefined): IndexRecord {
  if (record !== undefined) return record;
  throw new KnnIndexError('KNN_INDEX_SHARDS', `${path} has no record of which rows it holds`, {
    hint: 'Copy its .json file, too, or build the shard again.',
    details: { path },
  });
}

async function checkUnchanged(path: string, record: IndexRecord, task: TaskOptions): Promise<void> {
  if (await matchesDigest(path, record, task)) return;
  throw new KnnIndexError('KNN_INDEX_SHARDS', `${path} has changed since it was built`, {
    hint: 'Copy it again, or build the shard again (--overwrite).',
    details: { path },
  });
}

async function removeFiles(
  shards: readonly string[],
  records: readonly IndexRecord[],
  folder: string,
): Promise<void> {
  for (const [i, shard] of shards.entries()) {
    const { lists } = records[i];
    const files = [shard, recordPath(shard), ...(lists === undefined ? [] : [join(folder, lists.file)])];
    for (const file of files) await rm(file, { force: true });
  }
}
