import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { readIndexFileHeader } from '@knn-lm/faiss';
import type { EngineIndex, IndexEngine } from './engine.js';
import { KnnIndexError } from './errors.js';
import { findShards } from './index-files.js';
import { matchesDigest, readIndexRecord, type IndexRecord } from './index-record.js';
import { checkShards } from './shard-records.js';
import { ShardedIndex } from './sharded-index.js';

/** An index as it is in files. */
export interface OpenedIndex {
  /** What is searched. */
  readonly index: EngineIndex;
  /** The files, those of lists apart included. */
  readonly files: readonly string[];
  /** What is known of each index file. */
  readonly records: readonly (IndexRecord | undefined)[];
}

interface ReadOptions {
  readonly map: boolean;
  readonly trust: boolean;
}

/**
 * Opens an index file, or the shards of one.
 *
 * @param path - a file, or the shards in order; where a file is missing, the shards in its folder
 * @throws as `KnnIndex.open` says
 */
export async function openIndexFiles(
  path: string | readonly string[],
  engine: IndexEngine,
  options: ReadOptions,
): Promise<OpenedIndex> {
  const paths = typeof path === 'string' ? shardsOr(path) : path;
  if (paths.length === 0) throw new KnnIndexError('KNN_INDEX_ARGUMENT', 'no index file is given');
  const records = paths.map(currentRecord);
  if (paths.length > 1) checkShards(paths, records);
  const opened: EngineIndex[] = [];
  const files: string[] = [];
  try {
    for (const [i, file] of paths.entries()) {
      const trusted = await trustworthy(file, records[i], options.trust);
      const index = await engine.read(file, { map: options.map || records[i]?.lists !== undefined, trusted });
      opened.push(index);
      files.push(file, ...listsFileOf(file));
      checkSearchable(file, index);
      checkDimension(paths, opened);
    }
  } catch (error) {
    for (const index of opened) index.close();
    throw error;
  }
  return { index: opened.length === 1 ? opened[0] : new ShardedIndex(opened), files, records };
}

function shardsOr(path: string): readonly string[] {
  if (existsSync(path)) return [path];
  const shards = findShards(dirname(path));
  return shards.length === 0 ? [path] : shards;
}

/** Python's tool may have written another index since. */
function currentRecord(path: string): IndexRecord | undefined {
  const record = readIndexRecord(path);
  if (record === undefined || !existsSync(path)) return undefined;
  const header = readIndexFileHeader(path);
  return header.type === 'other' || (header.size === record.rows && header.dimension === record.dimension)
    ? record
    : undefined;
}

function listsFileOf(path: string): readonly string[] {
  const header = readIndexFileHeader(path);
  return 'listsFile' in header && header.listsFile !== undefined ? [header.listsFile.path] : [];
}

/** Whether Faiss may be given an index of a kind that cannot be checked first. */
async function trustworthy(path: string, record: IndexRecord | undefined, trust: boolean): Promise<boolean> {
  const header = readIndexFileHeader(path);
  if (header.type !== 'other' || trust) return true;
  if (record !== undefined && (await matchesDigest(path, record))) return true;
  const reason =
    record === undefined ? 'nothing says that it was built here' : 'it has changed since it was built';
  throw new KnnIndexError(
    'KNN_INDEX_UNTRUSTED',
    `${path}: an index of kind ${header.fourcc} cannot be checked before it is read, and ${reason}`,
    {
      hint: 'Build it again with build_faiss_index --overwrite, or give --trust-index if you know that it is sound.',
      details: { path, found: header.fourcc },
    },
  );
}

function checkSearchable(path: string, index: EngineIndex): void {
  if (!index.isTrained) {
    throw new KnnIndexError('KNN_INDEX_NOT_TRAINED', `${path}: the index is not trained`, {
      hint: 'Build the index again.',
      details: { path },
    });
  }
  if (index.size > 0) return;
  throw new KnnIndexError('KNN_INDEX_EMPTY', `${path}: the index holds no keys`, {
    hint: 'This is a trained index before the keys are added; open the finished one, faiss.index.',
    details: { path },
  });
}

function checkDimension(paths: readonly string[], opened: readonly EngineIndex[]): void {
  const found = opened[opened.length - 1].dimension;
  const expected = opened[0].dimension;
  if (found === expected) return;
  throw new KnnIndexError(
    'KNN_INDEX_DIMENSION',
    `${paths[opened.length - 1]} has ${found} dimensions, but ${paths[0]} has ${expected}`,
    { hint: 'Shards of one index are over keys of one dimension.', details: { found, expected } },
  );
}
