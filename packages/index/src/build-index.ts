import { existsSync, statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { KnnLmError } from '@knn-lm/common';
import { describeFileError, ensureFolder } from '@knn-lm/common';
import { FaissError } from '@knn-lm/faiss';
import { addKeys } from './add-keys.js';
import {
  checkBuildOptions,
  isFactoryString,
  type BuildOptions,
  type CheckedBuildOptions,
} from './build-options.js';
import type { EngineIndex, IndexEngine } from './engine.js';
import { KnnIndexError } from './errors.js';
import { checkSize, checkTrainedIndex, describeFinishedIndex } from './existing-index.js';
import { digestFile } from './file-digest.js';
import { recordPath, writeIndexRecord } from './index-record.js';
import type { KeySource } from './key-source.js';
import { openEngine } from './open-engine.js';
import { PartialIndex, type PartialTarget } from './partial-index.js';
import { identifySource } from './source-identity.js';
import { trainIndex } from './train-index.js';

/** Name of the finished index in its folder. */
export const INDEX_FILE = 'faiss.index';
/** Name of the trained, still empty index in its folder. */
export const TRAINED_INDEX_FILE = 'faiss.trained_index';

/** What {@link buildIndex} did. */
export interface BuildResult {
  /** The finished index. */
  readonly path: string;
  /** The trained, empty index beside it; `undefined` for an exact index. */
  readonly trainedPath: string | undefined;
  /** Entries in the index. */
  readonly size: number;
  /** What it is, in one line. */
  readonly description: string;
  /** Size of the file. */
  readonly bytes: number;
  /** A finished index was there and has been kept. */
  readonly kept: boolean;
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
 * An interrupted build leaves `faiss.index.partial`, from which the same call goes on; the finished file is the same.
 * `faiss.index.json` records what was built, with a checksum.
 *
 * @param source - the datastore
 * @param options - the kind of index; how to report and to stop
 * @throws {@link KnnIndexError} `KNN_INDEX_ARGUMENT`, `KNN_INDEX_TYPE`, `KNN_INDEX_TOO_FEW_KEYS`, `KNN_INDEX_SIZE`,
 * `KNN_INDEX_DIMENSION`, `KNN_INDEX_TRAINED_MISMATCH`, `KNN_INDEX_BAD_KEY`
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
  const path = join(checked.folder, INDEX_FILE);
  if (!checked.overwrite && existsSync(path)) return keepIndex(path, source, checked);
  await ensureFolder(checked.folder);
  const engine = await openEngine(checked.engine, checked.logger);
  const trained =
    checked.type === 'IndexFlatL2' ? untrained(engine, source) : await trainOrReuse(engine, source, checked);
  const partial = new PartialIndex(checked.folder, await describeTarget(source, checked, trained.about));
  const { index, resumedRows } = await resume(partial, trained.index, engine, checked);
  try {
    checked.logger?.info(`Adding total ${source.rows} keys`);
    await addKeys(index, source, checked, () => partial.save(index));
    checkSize(path, index.size, source.rows);
    checked.onProgress?.({ stage: 'write', done: 0, total: 1, unit: 'files' });
    await partial.finish(index, path);
    checked.onProgress?.({ stage: 'write', done: 1, total: 1, unit: 'files' });
    return {
      ...trained.about,
      path,
      size: index.size,
      description: index.description,
      bytes: fileBytes(path),
      kept: false,
      resumedRows,
    };
  } finally {
    index.close();
  }
}

async function describeTarget(
  source: KeySource,
  options: CheckedBuildOptions,
  { trainedPath }: Prepared['about'],
): Promise<PartialTarget> {
  const { type } = options;
  const { rows, dimension } = source;
  const trained = trainedPath === undefined ? undefined : await digestFile(trainedPath, options);
  return { type, trainedSha256: trained?.sha256, datastore: identifySource(source), rows, dimension };
}

/** The index with the keys that an interrupted build has added, or the trained one. */
async function resume(
  partial: PartialIndex,
  trained: EngineIndex,
  engine: IndexEngine,
  options: CheckedBuildOptions,
): Promise<{ index: EngineIndex; resumedRows: number }> {
  try {
    const found = options.overwrite ? undefined : await partial.read(engine, options);
    if (typeof found === 'object') {
      trained.close();
      found.nprobe = options.nprobe;
      options.logger?.info(`Going on with the index of an interrupted build, which holds ${found.size} keys`);
      return { index: found, resumedRows: found.size };
    }
    if (found !== undefined) {
      options.logger?.warn(`The unfinished index that is there is not used: ${found}`);
    }
    await partial.remove();
    return { index: trained, resumedRows: 0 };
  } catch (error) {
    trained.close();
    throw error;
  }
}

interface Prepared {
  readonly index: EngineIndex;
  readonly about: Pick<BuildResult, 'trainedPath' | 'reusedTraining' | 'trainedKeys' | 'readKeys'>;
}

function untrained(engine: IndexEngine, { dimension }: KeySource): Prepared {
  const index = engine.create({ type: 'IndexFlatL2', dimension });
  return { index, about: { trainedPath: undefined, reusedTraining: false, trainedKeys: 0, readKeys: 0 } };
}

/** Trains an index and saves it, or reads the one that was saved before. */
async function trainOrReuse(
  engine: IndexEngine,
  source: KeySource,
  options: CheckedBuildOptions,
): Promise<Prepared> {
  const trainedPath = join(options.folder, TRAINED_INDEX_FILE);
  if (!options.overwrite && existsSync(trainedPath)) {
    await checkTrainedIndex(trainedPath, source, options);
    options.logger?.info(`Using the trained index that is there: ${trainedPath}`);
    const index = await engine.read(trainedPath, { trusted: isFactoryString(options.type) });
    index.nprobe = options.nprobe;
    return { index, about: { trainedPath, reusedTraining: true, trainedKeys: 0, readKeys: 0 } };
  }
  const index = create(engine, options, source.dimension);
  try {
    index.nprobe = options.nprobe;
    options.logger?.info(`Training on ${options.trainedKeys} of ${source.rows} keys`);
    const counts = await trainIndex(index, source, options);
    await writeTrained(index, trainedPath, options);
    return { index, about: { trainedPath, reusedTraining: false, ...counts } };
  } catch (error) {
    index.close();
    throw error;
  }
}

function create(engine: IndexEngine, options: CheckedBuildOptions, dimension: number): EngineIndex {
  const { type, centroids, codeSize, bitsPerIndex } = options;
  if (!isFactoryString(type)) {
    return engine.create({ type: 'IndexIVFPQ', dimension, centroids, codeSize, bitsPerIndex });
  }
  try {
    return engine.create({ type: 'factory', dimension, description: type });
  } catch (cause) {
    if (!(cause instanceof FaissError)) throw cause;
    const known = 'IndexIVFPQ, IndexFlatL2, or a Faiss factory string such as OPQ64,IVF4096,PQ64np';
    throw new KnnIndexError('KNN_INDEX_TYPE', `no index of type "${type}": ${cause.message}`, {
      hint: `Give ${known}; its numbers have to fit keys of ${dimension} dimensions.`,
      details: { type, dimension },
      cause,
    });
  }
}

/** A kind that cannot be checked gets a record; an IndexIVFPQ is alone, as the Python tool leaves it. */
async function writeTrained(index: EngineIndex, path: string, options: CheckedBuildOptions): Promise<void> {
  await rm(recordPath(path), { force: true });
  await index.write(path, options);
  const { type } = options;
  if (!isFactoryString(type)) return;
  const { dimension } = index;
  await writeIndexRecord(path, { type, dimension, rows: 0, ...(await digestFile(path, options)) });
}

/** Reports a finished index instead of building it again, after checking that it belongs to the datastore. */
function keepIndex(path: string, source: KeySource, options: CheckedBuildOptions): BuildResult {
  const description = describeFinishedIndex(path, source);
  options.logger?.info(`${path} is there already and is kept (${description}); --overwrite builds it again`);
  const trainedPath = join(options.folder, TRAINED_INDEX_FILE);
  return {
    path,
    trainedPath: existsSync(trainedPath) ? trainedPath : undefined,
    size: source.rows,
    description,
    bytes: fileBytes(path),
    kept: true,
    resumedRows: 0,
    reusedTraining: false,
    trainedKeys: 0,
    readKeys: 0,
  };
}

function fileBytes(path: string): number {
  try {
    return statSync(path).size;
  } catch (cause) {
    throw describeFileError(cause, path, 'look at the index') as KnnLmError;
  }
}
