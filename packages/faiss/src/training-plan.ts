import { checkInteger, MAX_CENTROIDS } from './arguments.js';
import { loadAddon } from './native.js';
import { describeNativeError } from './errors.js';

/** Points that Faiss keeps for each centroid (`ClusteringParameters::max_points_per_centroid`). */
const POINTS_PER_CENTROID = 256;
/** The seed of both of Faiss's subsamplings (`ClusteringParameters::seed`), so they are prefixes of one permutation. */
const SEED = 1234;
/** Faiss numbers training vectors in 32 bits. */
const MAX_TRAINING_VECTORS = 2 ** 31 - 1;

/** Which of the training vectors an IndexIVFPQ really uses. */
export interface TrainingPlan {
  /** Training vectors there are. */
  readonly total: number;
  /** How many of them are needed: at most 256 a coarse centroid, or 256 for each value of a code. */
  readonly rows: number;
  /** The first so many of the needed rows train the coarse quantizer. */
  readonly coarseRows: number;
  /** The first so many of the needed rows train the product quantizer. */
  readonly productRows: number;
  /** Whether the needed rows are picked by Faiss's permutation; otherwise they are all rows in their own order. */
  readonly permuted: boolean;
}

/**
 * Plans the training of an IndexIVFPQ so that only the vectors are read that Faiss would pick itself, and the result
 * is that of `index.train` with all of them.
 *
 * Faiss 1.7.3 subsamples twice, in `Clustering::train` (256 times the centroids) and in
 * `IndexIVFPQ::train_residual_o` (256 times the values of a code), each time by the first entries of
 * `rand_perm(total, 1234)`.
 *
 * @param total - training vectors there are
 * @param centroids - coarse centroids
 * @param bitsPerIndex - bits of one code of the product quantizer
 */
export function planIvfPqTraining(total: number, centroids: number, bitsPerIndex: number): TrainingPlan {
  checkInteger('the number of training vectors', total, 0, MAX_TRAINING_VECTORS);
  checkInteger('the number of centroids', centroids, 1, MAX_CENTROIDS);
  const coarseLimit = POINTS_PER_CENTROID * centroids;
  const productLimit = POINTS_PER_CENTROID * 2 ** bitsPerIndex;
  const rows = Math.max(coarseLimit, productLimit);
  // Up to the larger limit all rows are there, and Faiss subsamples for the smaller one itself.
  if (total <= rows) {
    return { total, rows: total, coarseRows: total, productRows: total, permuted: false };
  }
  return { total, rows, coarseRows: coarseLimit, productRows: productLimit, permuted: true };
}

/**
 * The rows that a plan needs, in the order Faiss takes them: entry i says which of the training vectors becomes row i.
 *
 * @returns `[plan.rows]`; memory goes with that, not with `plan.total`
 */
export async function trainingRowOrder(plan: TrainingPlan): Promise<Int32Array> {
  if (!plan.permuted) return Int32Array.from({ length: plan.rows }, (_, i) => i);
  return randomPermutation(plan.total, plan.rows, SEED);
}

/**
 * The first entries of Faiss's `rand_perm(n, seed)`.
 *
 * @param n - length of the whole permutation, below 2^31
 * @param count - how many entries of it
 * @param seed - seed of the generator, a Mersenne Twister
 */
export async function randomPermutation(n: number, count: number, seed: number): Promise<Int32Array> {
  checkInteger('the length of the permutation', n, 0, MAX_TRAINING_VECTORS);
  checkInteger('the number of entries', count, 0, n);
  try {
    return await loadAddon().permutation(n, count, seed);
  } catch (cause) {
    throw describeNativeError(cause, 'draw a permutation');
  }
}
