import { readFileSync, statSync } from 'node:fs';
import { describeFileError, writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import { digestFile, type FileDigest } from './file-digest.js';

/** What is known of an index file since it was written; kept beside it as `faiss.index.json`. */
export interface IndexRecord extends FileDigest {
  /** What `--index-type` was: `IndexIVFPQ`, `IndexFlatL2`, or a Faiss factory string. */
  readonly type: string;
  /** Dimensions of a key. */
  readonly dimension: number;
  /** Keys in the index. */
  readonly rows: number;
}

const VERSION = 1;
/** A record is a few hundred bytes. */
const MAX_RECORD_BYTES = 1 << 16;

/** Where the record of an index file is. */
export function recordPath(path: string): string {
  return `${path}.json`;
}

/** Writes the record of an index file, whole or not at all. */
export async function writeIndexRecord(path: string, record: IndexRecord): Promise<void> {
  const { type, dimension, rows, bytes, sha256 } = record;
  const text = JSON.stringify({ version: VERSION, type, dimension, rows, bytes, sha256 }, undefined, 2);
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
  return value !== undefined && value['version'] === VERSION && isRecord(value) ? value : undefined;
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
  const { type, dimension, rows, bytes, sha256 } = value as Record<string, unknown>;
  return (
    typeof type === 'string' &&
    [dimension, rows, bytes].every((number) => Number.isSafeInteger(number) && (number as number) >= 0) &&
    typeof sha256 === 'string'
  );
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
