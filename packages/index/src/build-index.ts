import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ensureFolder } from '@knn-lm/common';
import { addKeys } from './add-keys.js';
import { appendToIndex } from './append-index.js';
import { checkBuildOptions, type BuildOptions, type CheckedBuildOptions } from './build-options.js';
import type { EngineIndex, IndexEngine } from './engine.js';
import { KnnIndexError } from './errors.js';
import { bytesOfIndex, describeFinishedIndex, listsOf } from './existing-index.js';
import { digestFile } from './file-digest.js';
import type { GrowingIndex } from './growing-index.js';
import { IndexDestination } from './index-destination.js';
import { bytesOf, removeRemains, TRAINED_INDEX_FILE } from './index-files.js';
import { readIndexRecord } from './index-record.js';
import { describeIndexTarget, type IndexTarget } from './index-target.js';
import type { KeySource } from './key-source.js';
import { openEngine } from './open-engine.js';
import { PartialIndex } from './partial-index.js';
import { PieceIndex } from './piece-index.js';
import { identifySource } from './source-identity.js';
import { prepareIndex, type Prepared } from './training.js';

/** What {@link buildIndex} did. */
export interface BuildResult {
  /** The finished index, or with `trainOnly` the trained one. */
  readonly path: string;
  /** The trained, empty index beside it; `undefined` for an exact index. */
  readonly trainedPath: string | undefined;
  /** Entries in the index. */
  readonly size: number;
  /** What it is, in one line. */
  readonly description: string;
  /** Size of the file; that of its lists, too, where they are in another. */
  readonly bytes: number;
  /** A finished index was there and has been kept. */
  readonly kept: boolean;
  /** Keys that were put behind those of a finished index. */
  readonly appendedRows: number;
  /** A trained index was there and has been used. */
  readonly reusedTraining: boolean;
  /** Keys that an interrupted build had added already. */
  readonly resumedRows: number;
  /** Keys the training stands for; 0 when nothing was trained. */
  readonly trainedKeys: number;
  /** Keys that were read for it: the ones Faiss uses. */
  readonly readKeys: number;
}

/**
 * Builds the index of a datastore and writes it beside the keys: `faiss.trained_index` when it is trained,
 * `faiss.index` when all keys are in it. Both are ordinary Faiss files.
 *
 * A finished `faiss.index` is kept unless `overwrite` is given, and so is a `faiss.trained_index` of the same shape.
 * An interrupted build leaves what it has added, from which the same call goes on; the finished file is the same.
 * `faiss.index.json` records what was built, with checksums of the file, the training and the datastore.
 *
 * With `numShards` one shard is built from the trained index that is there: `faiss.index.shard-0-of-4`, with the rows of
 * the datastore as ids. {@link mergeIndexShards} makes one index of them; `KnnIndex` also searches them as they are.
 *
 * @param source - the datastore
 * @param options - the kind of index; how to report and to stop
 * @throws {@link KnnIndexError} `KNN_INDEX_ARGUMENT`, `KNN_INDEX_TYPE`, `KNN_INDEX_TOO_FEW_KEYS`, `KNN_INDEX_SIZE`,
 * `KNN_INDEX_DIMENSION`, `KNN_INDEX_TRAINED_MISMATCH`, `KNN_INDEX_NOT_TRAINED`, `KNN_INDEX_BAD_KEY`,
 * `KNN_INDEX_DATASTORE`, `KNN_INDEX_KIND`
 * @throws `CancelledError`; a finished training and the keys added so far stay and are used the next time
 *
 * @example
 * ```ts
 * const datastore = await Datastore.open('datastore');
 * const result = await buildIndex(datastore, { type: 'IndexIVFPQ', centroids: 256, codeSize: 32 });
 * console.log(result.description);
 * ```
 */
export async function buildIndex(source: KeySource, options: BuildOptions): Promise<BuildResult> {
  const checked = checkBuildOptions(options, source);
  const target = describeIndexTarget(source.rows, checked);
  if (!checked.trainOnly && !checked.overwrite && existsSync(target.path)) {
    return (
      (checked.append ? await append(target, source, checked) : undefined) ??
      keepIndex(target, source, checked)
    );
  }
  await ensureFolder(checked.folder);
  const engine = await openEngine(checked.engine, checked.logger);
  const prepared = await prepareIndex(engine, source, checked);
  return checked.trainOnly ? trained(prepared) : addAll(engine, prepared, target, source, checked);
}

/** Adds the rows of a target to a trained index, under its final name when all are in it. */
async function addAll(
  engine: IndexEngine,
  { index: empty, about }: Prepared,
  target: IndexTarget,
  source: KeySource,
  options: CheckedBuildOptions,
): Promise<BuildResult> {
  const rows = target.endRow - target.firstRow;
  const destination = new IndexDestination(target.path, {
    type: options.type,
    dimension: source.dimension,
    rows,
    firstRow: target.firstRow,
    shard: target.shard,
    trainedSha256:
      about.trainedPath === undefined ? undefined : (await digestFile(about.trainedPath, options)).sha256,
    datastore: identifySource(source),
  });
  const growing = await openGrowing(engine, empty, destination, options);
  const { index } = growing;
  try {
    options.logger?.info(`Adding total ${rows} keys`);
    await addKeys(growing, source, target, options);
    options.onProgress?.({ stage: 'write', done: 0, total: 1, unit: 'files' });
    await growing.finish();
    options.onProgress?.({ stage: 'write', done: 1, total: 1, unit: 'files' });
    const { path } = target;
    const description = describeFinishedIndex(path, { rows, dimension: source.dimension });
    const { resumedRows } = growing;
    return {
      ...about,
      path,
      size: rows,
      description,
      bytes: bytesOfIndex(path),
      kept: false,
      appendedRows: 0,
      resumedRows,
    };
  } finally {
    index.close();
  }
}

async function openGrowing(
  engine: IndexEngine,
  trainedIndex: EngineIndex,
  destination: IndexDestination,
  options: CheckedBuildOptions,
): Promise<GrowingIndex> {
  const fresh = options.overwrite;
  if (!options.onDiskLists)
    return PartialIndex.open(trainedIndex, destination, engine, { ...options, fresh });
  try {
    if (trainedIndex.isJoinable)
      return await PieceIndex.open(trainedIndex, destination, { ...options, fresh });
    throw new KnnIndexError(
      'KNN_INDEX_KIND',
      `an index of type ${options.type} has no lists that can be on disk`,
      {
        hint: 'Choose IndexIVFPQ or a factory string with IVF and without fast scan (fs) or refinement (RFlat).',
        details: { type: options.type },
      },
    );
  } catch (error) {
    trainedIndex.close();
    throw error;
  }
}

/** Puts the datastore's new rows behind those of the finished index; nothing where there are none. */
async function append(
  target: IndexTarget,
  source: KeySource,
  options: CheckedBuildOptions,
): Promise<BuildResult | undefined> {
  const appended = await appendToIndex(target.path, source, options);
  if (appended === undefined) return undefined;
  const { path, endRow: size } = target;
  const description = describeFinishedIndex(path, { rows: size, dimension: source.dimension });
  return { ...reused(options), ...appended, path, size, description, bytes: bytesOfIndex(path), kept: false };
}

function trained({ index, about }: Prepared): BuildResult {
  const { description } = index;
  index.close();
  const path = about.trainedPath ?? '';
  return {
    ...about,
    path,
    size: 0,
    description,
    bytes: bytesOf(path),
    kept: about.reusedTraining,
    appendedRows: 0,
    resumedRows: 0,
  };
}

/** Reports a finished index instead of building it again, after checking that it belongs to the datastore. */
async function keepIndex(
  { path, firstRow, endRow }: IndexTarget,
  source: KeySource,
  options: CheckedBuildOptions,
): Promise<BuildResult> {
  const size = endRow - firstRow;
  const description = describeFinishedIndex(path, { rows: size, dimension: source.dimension }, source);
  await removeRemains(path, listsNameOf(path));
  options.logger?.info(`${path} is there already and is kept (${description}); --overwrite builds it again`);
  return {
    ...reused(options),
    path,
    size,
    description,
    bytes: bytesOfIndex(path),
    kept: true,
    appendedRows: 0,
    resumedRows: 0,
    reusedTraining: false,
  };
}

function reused(options: CheckedBuildOptions): Prepared['about'] {
  const trainedPath = join(options.folder, TRAINED_INDEX_FILE);
  return {
    trainedPath: existsSync(trainedPath) ? trainedPath : undefined,
    reusedTraining: true,
    trainedKeys: 0,
    readKeys: 0,
  };
}

/** Name of the file of its lists; the record knows it of kinds that are not looked into. */
function listsNameOf(path: string): string | undefined {
  const stored = listsOf(path)?.stored;
  return stored === undefined ? readIndexRecord(path)?.lists?.file : basename(stored);
}
