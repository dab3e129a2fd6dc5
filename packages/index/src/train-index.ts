import { throwIfAborted } from '@knn-lm/common';
import { planIvfPqTraining, trainingRowOrder, type TrainingPlan } from '@knn-lm/faiss';
import { isFactoryString, type CheckedBuildOptions } from './build-options.js';
import type { EngineIndex, EngineTrainingRows } from './engine.js';
import { describeKeyError } from './key-error.js';
import type { KeySource } from './key-source.js';
import { RowSet } from './row-set.js';
import { sampleKeys } from './sample-keys.js';

const ROWS_AT_A_TIME = 4096;
/** Faiss's `ClusteringParameters::max_points_per_centroid`. */
const POINTS_PER_CENTROID = 256;
/** Centroids of a code of 8 bits; OPQ (`max_train_points`) and scalar quantizers take as many keys as those. */
const LARGEST_CODEBOOK = 256;

/**
 * Trains an index on keys of a datastore: the ones that the Python tool would draw, and of those the ones that Faiss
 * would use, so no more is read than needed. The result is the same as with all of them.
 *
 * Memory: `plan.rows * dimension * 4` bytes for the keys, and what {@link sampleKeys} says.
 *
 * @returns how many keys were drawn and how many of them were read
 */
export async function trainIndex(
  index: EngineIndex,
  source: KeySource,
  options: CheckedBuildOptions,
): Promise<{ trainedKeys: number; readKeys: number }> {
  const { plan, trainedKeys } = planTraining(index, options);
  const sampled =
    trainedKeys < source.rows
      ? await sampleKeys(source.rows, trainedKeys, options.seed, options)
      : RowSet.all(source.rows);
  const rows = index.trainingRows(plan);
  try {
    await readRows(rows, source, sampled, plan, options);
    await index.train(rows, plan, options);
  } finally {
    rows.close();
  }
  return { trainedKeys, readKeys: plan.rows };
}

/** Which of the drawn keys are read. */
function planTraining(
  index: EngineIndex,
  options: CheckedBuildOptions,
): { plan: TrainingPlan; trainedKeys: number } {
  if (!isFactoryString(options.type)) {
    const { trainedKeys, centroids, bitsPerIndex } = options;
    return { plan: planIvfPqTraining(trainedKeys, centroids, bitsPerIndex), trainedKeys };
  }
  // What Faiss would pick from more keys differs for each part of such an index; no part takes more than this.
  const enough = POINTS_PER_CENTROID * Math.max(index.centroids ?? 0, LARGEST_CODEBOOK);
  const rows = Math.min(options.trainedKeys, enough);
  return {
    plan: { total: rows, rows, coarseRows: rows, productRows: rows, permuted: false },
    trainedKeys: rows,
  };
}

/** Reads the planned rows from front to back and puts each where the plan wants it. */
async function readRows(
  target: EngineTrainingRows,
  source: KeySource,
  sampled: RowSet,
  plan: TrainingPlan,
  { signal, onProgress }: CheckedBuildOptions,
): Promise<void> {
  const order = await trainingRowOrder(plan);
  const positions = Float64Array.from({ length: plan.rows }, (_, i) => i).sort((a, b) => order[a] - order[b]);
  const rows = sampled.rowsAt(positions.map((position) => order[position]));
  for (let done = 0; done < plan.rows; done += ROWS_AT_A_TIME) {
    throwIfAborted(signal, 'stopped while reading keys to train on');
    onProgress?.({ stage: 'read training keys', done, total: plan.rows, unit: 'keys' });
    const ids = rows.subarray(done, done + ROWS_AT_A_TIME);
    try {
      target.set(readSome(source, ids), positions.slice(done, done + ids.length));
    } catch (cause) {
      throw describeKeyError(cause, (row) => ids[row], source);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  onProgress?.({ stage: 'read training keys', done: plan.rows, total: plan.rows, unit: 'keys' });
}

/** Consecutive rows in one read, scattered ones one by one. */
function readSome(source: KeySource, ids: Float64Array): Float32Array | Uint16Array {
  const consecutive = ids[ids.length - 1] - ids[0] + 1 === ids.length;
  return consecutive ? source.readKeys(ids[0], ids.length) : source.gatherKeys(ids);
}
