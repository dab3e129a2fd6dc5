import { existsSync, readdirSync, statSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { KnnIndexError } from './errors.js';

/** Name of the finished index in its folder. */
export const INDEX_FILE = 'faiss.index';
/** Name of the trained, still empty index in its folder. */
export const TRAINED_INDEX_FILE = 'faiss.trained_index';

/** Name of the index of one shard: `faiss.index.shard-2-of-8`, counted from 0. */
export function shardFile(shardId: number, numShards: number): string {
  return `${INDEX_FILE}.shard-${shardId}-of-${numShards}`;
}

const shardPattern = /^faiss\.index\.shard-(\d+)-of-(\d+)$/;

/**
 * The finished shards of an index in a folder.
 *
 * @param folder - the datastore's folder
 * @returns their paths in order; nothing where there are none
 * @throws {@link KnnIndexError} `KNN_INDEX_SHARDS` when some are missing, or shards of several divisions are there
 */
export function findShards(folder: string): string[] {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => shardPattern.test(name)) : [];
  if (names.length === 0) return [];
  const counts = [...new Set(names.map((name) => Number(shardPattern.exec(name)?.[2])))];
  const wanted = Array.from({ length: counts[0] }, (_, id) => shardFile(id, counts[0]));
  const missing = wanted.filter((name) => !names.includes(name));
  if (counts.length === 1 && missing.length === 0) return wanted.map((name) => join(folder, name));
  const reason =
    counts.length > 1
      ? `there are shards of divisions into ${counts.sort((a, b) => a - b).join(' and ')}`
      : `${missing.length} of ${counts[0]} shards are missing, ${missing[0]} first`;
  throw new KnnIndexError('KNN_INDEX_SHARDS', `${folder}: ${reason}`, {
    hint: 'Build each shard with build_faiss_index --num-shards --shard-id, and remove those of another division.',
    details: { folder, found: names.length },
  });
}

/**
 * Finds the index of a datastore: `faiss.index`, or all shards of one.
 *
 * @param folder - the datastore's folder
 * @returns one path, or those of the shards; nothing where there is no index
 * @throws {@link KnnIndexError} `KNN_INDEX_SHARDS`
 */
export function findIndex(folder: string): readonly string[] {
  const path = join(folder, INDEX_FILE);
  return existsSync(path) ? [path] : findShards(folder);
}

/** Whether a folder has an index, or shards of one. */
export function hasIndex(folder: string): boolean {
  if (!existsSync(folder)) return false;
  return readdirSync(folder).some((name) => name === INDEX_FILE || shardPattern.test(name));
}

/** Where the lists of an index go that are to be in a file of their own; a new name for each content. */
export function listsFileOf(path: string, tag: string): string {
  return `${path}.${tag}.ivfdata`;
}

/** What is written on the way to an index file, as it follows the file's name. */
const partsOfBuild =
  'json|partial(?:\\.next|\\.json)?|pieces\\.json|piece-\\d+|joined|[0-9a-f]{12}\\.ivfdata';

/**
 * Removes what a build leaves when it is killed after its index had its final name: unfinished states and lists that the
 * index does not name.
 *
 * @param path - the finished index
 * @param lists - name of the file of its lists, where they are in one
 */
export async function removeRemains(path: string, lists: string | undefined): Promise<void> {
  const folder = dirname(path);
  const pattern = new RegExp(`^${escape(basename(path))}(?:\\.added)?(?:\\.(?:${partsOfBuild}))?$`);
  for (const name of await readdir(folder)) {
    const kept = [basename(path), `${basename(path)}.json`, lists];
    if (!pattern.test(name) || kept.includes(name)) continue;
    await rm(join(folder, name), { force: true });
  }
  await removeLeftovers(path);
}

/**
 * Removes the temporary files of processes that were killed while they wrote an index file, which may be as large as the
 * index. Those of its shards are left: they may be written on another machine.
 */
export async function removeLeftovers(path: string): Promise<void> {
  const folder = dirname(path);
  const pattern = new RegExp(
    `^\\.${escape(basename(path))}(?:\\.added)?(?:\\.(?:${partsOfBuild}))?\\.(\\d+)\\.\\w+\\.tmp$`,
  );
  for (const name of await readdir(folder)) {
    const owner = pattern.exec(name)?.[1];
    if (owner !== undefined && !isRunning(Number(owner))) await rm(join(folder, name), { force: true });
  }
}

/** Bytes of a file; 0 where it is missing. */
export function bytesOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function escape(name: string): string {
  return name.replaceAll('.', '\\.');
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
