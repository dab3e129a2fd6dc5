import { readFileSync, statSync } from 'node:fs';
import { describeFileError, writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import { digestFile, sha256OfFile, type FileDigest } from './file-digest.js';
import type { SourceIdentity } from './source-identity.js';

/** What is known of an index file since it was written; kept beside it as `faiss.index.json`. */
export interface IndexRecord extends FileDigest {
  /** What `--index-type` was: `IndexIVFPQ`, `IndexFlatL2`, or a Faiss factory string. */
  readonly type: string;
  /** Dimensions of a key. */
  readonly dimension: number;
  /** Keys in the index. */
  readonly rows: number;
  /** The row of the first of them. @default 0 */
  readonly firstRow?: number | undefined;
  /** Which part of how many, where the index is in shards. */
  readonly shard?:
    | {
        /** Which part, from 0. */
        readonly shardId: number;
        /** Of how many. */
        readonly numShards: number;
      }
    | undefined;
  /** Checksum of the trained index that the keys were added to; `undefined` where nothing is trained. */
  readonly trainedSha256?: string | undefined;
  /** The datastore that it was built from, as far as it went then. */
  readonly datastore?: SourceIdentity | undefined;
  /** The file of its lists, beside it, where they are in a file of their own. */
  readonly lists?:
    | (FileDigest & {
        /** Its name. */
        readonly file: string;
      })
    | undefined;
  /** How many keys each build has put behind those before it, once there were several. */
  readonly appended?: readonly number[] | undefined;
}

const VERSION = 1;
/** A record is a kilobyte or two. */
const MAX_RECORD_BYTES = 1 << 18;

/** Where the record of an index file is. */
export function recordPath(path: string): string {
  return `${path}.json`;
}

/**
 * Writes the record of an index file, whole or not at all.
 *
 * @param path - the index
 * @param record - of the file that is to have this name
 * @param previous - of the file that has it now and is about to be replaced: whichever is there is found
 */
export async function writeIndexRecord(
  path: string,
  record: IndexRecord,
  previous?: IndexRecord,
): Promise<void> {
  const text = JSON.stringify({ version: VERSION, ...record, previous }, undefined, 2);
  try {
    await writeFileAtomic(recordPath(path), `${text}\n`);
  } catch (cause) {
    throw describeFileError(cause, recordPath(path), 'write the record of the index');
  }
}

/**
 * Reads the record of an index file.
 *
 * @returns `undefined` where there is none that can be understood, as beside an index of the Python tools
 */
export function readIndexRecord(path: string): IndexRecord | undefined {
  const value = readJson(recordPath(path));
  if (value?.['version'] !== VERSION) return undefined;
  const { previous, ...record } = value;
  if (!isRecord(record)) return undefined;
  return isRecord(previous) && isFile(path, previous) ? previous : record;
}

/** Reads a small JSON object; `undefined` where there is none. */
export function readJson(path: string): Record<string, unknown> | undefined {
  try {
    if (statSync(path).size > MAX_RECORD_BYTES) return undefined;
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is IndexRecord {
  if (typeof value !== 'object' || value === null) return false;
  const {
    type,
    dimension,
    rows,
    bytes,
    sha256,
    firstRow = 0,
    lists,
    datastore,
  } = value as Record<string, unknown>;
  return (
    typeof type === 'string' &&
    [dimension, rows, bytes, firstRow].every(
      (number) => Number.isSafeInteger(number) && (number as number) >= 0,
    ) &&
    typeof sha256 === 'string' &&
    [lists, datastore].every((part) => part === undefined || (typeof part === 'object' && part !== null))
  );
}

/** Whether a file is the one of a record. Only where a process ended between two renames are there two to choose from. */
function isFile(path: string, { bytes, sha256 }: FileDigest): boolean {
  if (statSync(path, { throwIfNoEntry: false })?.size !== bytes) return false;
  return sha256OfFile(path) === sha256;
}

/** Whether a file still is what a record says of it; reads all of it when the length fits. */
export async function matchesDigest(
  path: string,
  { bytes, sha256 }: FileDigest,
  task: Pick<TaskOptions, 'signal'> = {},
): Promise<boolean> {
  try {
    if (statSync(path).size !== bytes) return false;
  } catch (cause) {
    throw describeFileError(cause, path, 'read the index');
  }
  return (await digestFile(path, task)).sha256 === sha256;
}
