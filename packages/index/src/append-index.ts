import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { addKeys } from './add-keys.js';
import type { CheckedBuildOptions } from './build-options.js';
import type { EngineIndex } from './engine.js';
import { KnnIndexError } from './errors.js';
import { checkTrainedIndex } from './existing-index.js';
import { digestFile } from './file-digest.js';
import { IndexDestination } from './index-destination.js';
import { checkIndexDatastore } from './index-datastore.js';
import { TRAINED_INDEX_FILE } from './index-files.js';
import { matchesDigest, readIndexRecord, recordPath, type IndexRecord } from './index-record.js';
import { joinIndexes } from './join-indexes.js';
import type { KeySource } from './key-source.js';
import { openEngine } from './open-engine.js';
import { PartialIndex } from './partial-index.js';
import { PieceIndex } from './piece-index.js';
import { identifySource } from './source-identity.js';

/** What {@link appendToIndex} did. */
export interface Appended {
  /** Keys that were put behind those of the index. */
  readonly appendedRows: number;
  /** How many of them an interrupted run had added already. */
  readonly resumedRows: number;
}

/**
 * Puts the rows that a datastore has gained behind those of its finished index, with the same training. The index stays
 * as it is until the longer one is complete; an interrupted run goes on where it was.
 *
 * An inverted file's new rows are built as an index of their own, and the two are joined: memory holds the new rows. Of
 * other kinds the whole index is read.
 *
 * @param path - the finished index
 * @param source - the datastore, whose first rows are those of the index
 * @param options - of the build
 * @returns nothing where there are no new rows
 * @throws {@link KnnIndexError} `KNN_INDEX_APPEND` when nothing says what the index holds; `KNN_INDEX_DATASTORE`,
 * `KNN_INDEX_SIZE`, `KNN_INDEX_DIMENSION`, `KNN_INDEX_TRAINED_MISMATCH`
 */
export async function appendToIndex(
  path: string,
  source: KeySource,
  options: CheckedBuildOptions,
): Promise<Appended | undefined> {
  const old = await checkOldIndex(path, source, options);
  if (old.rows === source.rows) return undefined;
  options.logger?.info(`Adding ${source.rows - old.rows} keys behind the ${old.rows} of ${path}`);
  const destination = new IndexDestination(path, {
    ...lasting(old),
    rows: source.rows,
    datastore: identifySource(source),
    appended: [...(old.appended ?? [old.rows]), source.rows - old.rows],
  });
  const joined = await appendJoining(path, old, source, destination, options);
  return joined ?? appendInMemory(path, old, source, destination, options);
}

/** What of a record stays true when the index is longer. */
function lasting({ type, dimension, firstRow, trainedSha256 }: IndexRecord) {
  return { type, dimension, firstRow, trainedSha256 };
}

/** The record of an index that may be appended to. */
async function checkOldIndex(
  path: string,
  source: KeySource,
  options: CheckedBuildOptions,
): Promise<IndexRecord> {
  const record = readIndexRecord(path);
  const known = record?.datastore !== undefined && (await matchesDigest(path, record, options));
  if (!known) {
    const reason = record === undefined ? 'has no record' : 'is not the file that its record describes';
    throw new KnnIndexError('KNN_INDEX_APPEND', `${path} ${reason}: nothing says which keys it holds`, {
      hint: 'Build it again (--overwrite); what this program builds can be appended to.',
      details: { path },
    });
  }
  const differs = [
    [record.type !== options.type, 'type', record.type, options.type],
    [record.dimension !== source.dimension, 'dimension', record.dimension, source.dimension],
  ] as const;
  for (const [isOther, what, found, expected] of differs) {
    if (!isOther) continue;
    throw new KnnIndexError('KNN_INDEX_APPEND', `${path} is of ${what} ${found}, but ${expected} is wanted`, {
      hint: 'Give the options that it was built with, or build it again (--overwrite).',
      details: { path, found, expected },
    });
  }
  checkIndexDatastore(path, record, source);
  return record;
}

/** Builds an index of the new rows and joins the two; nothing where the kind cannot be joined. */
async function appendJoining(
  path: string,
  old: IndexRecord,
  source: KeySource,
  destination: IndexDestination,
  options: CheckedBuildOptions,
): Promise<Appended | undefined> {
  if (old.trainedSha256 === undefined) return undefined;
  const trainedPath = join(options.folder, TRAINED_INDEX_FILE);
  const engine = await openEngine(options.engine, options.logger);
  await checkTrainedIndex(trainedPath, source, options);
  const { sha256 } = await digestFile(trainedPath, options);
  if (sha256 !== old.trainedSha256) {
    throw new KnnIndexError(
      'KNN_INDEX_TRAINED_MISMATCH',
      `${path} was built from a trained index with checksum ${old.trainedSha256}; that of ${trainedPath} is ${sha256}`,
      {
        hint: 'Put the trained index back that it was built from, or build it again (--overwrite).',
        details: { path },
      },
    );
  }
  const trained = await engine.read(trainedPath, { trusted: true });
  if (!trained.isJoinable) {
    trained.close();
    return undefined;
  }
  const range = { firstRow: old.rows, endRow: source.rows };
  const added = new IndexDestination(`${path}.added`, {
    ...destination.about,
    firstRow: range.firstRow,
    rows: range.endRow - range.firstRow,
  });
  // In pieces: what an interrupted run has added stays, and memory is bounded.
  const growing = await PieceIndex.open(trained, added, { ...options, onDiskLists: false, fresh: false });
  try {
    await addKeys(growing, source, range, options);
    await growing.finish();
  } finally {
    trained.close();
  }
  const parts = [{ path }, { path: added.path, firstId: range.firstRow }];
  const onDiskLists = options.onDiskLists || old.lists !== undefined;
  await joinIndexes(parts, destination, { ...options, onDiskLists });
  for (const left of [added.path, recordPath(added.path)]) await rm(left, { force: true });
  return { appendedRows: range.endRow - range.firstRow, resumedRows: growing.resumedRows };
}

async function appendInMemory(
  path: string,
  old: IndexRecord,
  source: KeySource,
  destination: IndexDestination,
  options: CheckedBuildOptions,
): Promise<Appended> {
  const engine = await openEngine(options.engine, options.logger);
  const whole: EngineIndex = await engine.read(path, { trusted: true });
  const { nprobe = options.nprobe } = whole;
  const growing = await PartialIndex.open(whole, destination, engine, { ...options, nprobe, fresh: false });
  try {
    await addKeys(growing, source, { firstRow: 0, endRow: source.rows }, options);
    await growing.finish();
  } finally {
    growing.index.close();
  }
  return { appendedRows: source.rows - old.rows, resumedRows: Math.max(0, growing.resumedRows - old.rows) };
}
