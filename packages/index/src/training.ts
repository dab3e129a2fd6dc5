import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { FaissError } from '@knn-lm/faiss';
import { isFactoryString, type CheckedBuildOptions } from './build-options.js';
import type { EngineIndex, IndexEngine } from './engine.js';
import { KnnIndexError } from './errors.js';
import { checkTrainedIndex } from './existing-index.js';
import { digestFile } from './file-digest.js';
import { TRAINED_INDEX_FILE } from './index-files.js';
import { recordPath, writeIndexRecord } from './index-record.js';
import type { KeySource } from './key-source.js';
import { trainIndex } from './train-index.js';

/** An index that keys can be added to. */
export interface Prepared {
  /** Trained and empty. */
  readonly index: EngineIndex;
  /** How it came about. */
  readonly about: {
    /** Its file; `undefined` for an exact index. */
    readonly trainedPath: string | undefined;
    /** Whether it was there. */
    readonly reusedTraining: boolean;
    /** Keys the training stands for; 0 when nothing was trained. */
    readonly trainedKeys: number;
    /** Keys that were read for it. */
    readonly readKeys: number;
  };
}

/** Trains an index and saves it, or reads the one that was saved before; an exact index is made. */
export async function prepareIndex(
  engine: IndexEngine,
  source: KeySource,
  options: CheckedBuildOptions,
): Promise<Prepared> {
  if (options.type === 'IndexFlatL2') return untrained(engine, source);
  const trainedPath = join(options.folder, TRAINED_INDEX_FILE);
  const isThere = existsSync(trainedPath);
  if (isThere && (!options.overwrite || options.numShards > 1)) {
    await checkTrainedIndex(trainedPath, source, options);
    options.logger?.info(`Using the trained index that is there: ${trainedPath}`);
    const index = await engine.read(trainedPath, { trusted: isFactoryString(options.type) });
    index.nprobe = options.nprobe;
    return { index, about: { trainedPath, reusedTraining: true, trainedKeys: 0, readKeys: 0 } };
  }
  // Shards that are built at the same time would each train, and not fit each other.
  if (options.numShards > 1) {
    throw new KnnIndexError(
      'KNN_INDEX_NOT_TRAINED',
      `${trainedPath} is missing: shards are added to one trained index`,
      {
        hint: 'Train it first: the same command with --train-only.',
        details: { path: trainedPath },
      },
    );
  }
  return train(engine, source, options, trainedPath);
}

async function train(
  engine: IndexEngine,
  source: KeySource,
  options: CheckedBuildOptions,
  trainedPath: string,
): Promise<Prepared> {
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

function untrained(engine: IndexEngine, { dimension }: KeySource): Prepared {
  const index = engine.create({ type: 'IndexFlatL2', dimension });
  return { index, about: { trainedPath: undefined, reusedTraining: false, trainedKeys: 0, readKeys: 0 } };
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
