import { KnnError } from './errors.js';
import { interpolate, knnProbability, missingDistance, type Neighbors } from './probability.js';
import type { ScoredBatch } from './score.js';

/**
 * The weight of the neighbours as a function of how far the nearest one is.
 *
 * @param nearestDistance - the smallest squared distance among the token's neighbours; infinite where there is none
 * @returns lambda, 0 to 1
 */
export type LambdaFunction = (nearestDistance: number) => number;

/** How neighbours and model are mixed, token by token. */
export interface Mixing {
  /** Weight of the neighbours: one for all tokens, 0 to 1, or a function of the nearest neighbour's distance. */
  readonly lambda: number | LambdaFunction;
  /** Divides the squared distances; 1 in the papers. */
  readonly temperature: number;
  /** How many of the nearest neighbours count; all that were searched when left out. */
  readonly k?: number | undefined;
}

/** The mixed distribution at each token of a batch. */
export interface Mixture {
  /** `[tokens]` natural logarithm of the mixture; the model's own where nothing was searched. */
  readonly logProbs: Float64Array;
  /** `[tokens]` p_kNN; `undefined` where nothing was searched. */
  readonly knnProbs: Float64Array | undefined;
}

/**
 * Smallest distance among the neighbours of a query. It need not be the first: recomputed distances keep the order of
 * the index's approximate ones.
 *
 * @param neighbors - neighbours of all queries
 * @param query - row of the query
 * @param k - how many of the nearest count
 * @returns the squared distance; infinite where no neighbour was found
 */
export function nearestDistance(neighbors: Neighbors, query: number, k: number = neighbors.k): number {
  const { distances } = neighbors;
  const begin = query * neighbors.k;
  let nearest = Infinity;
  for (let i = begin; i < begin + k; i++) if (distances[i] < nearest) nearest = distances[i];
  return nearest < missingDistance ? nearest : Infinity;
}

/**
 * Lambda of one token.
 *
 * @param lambda - a number, or a function of the nearest neighbour's distance
 * @param neighbors - neighbours of all queries
 * @param query - row of the token's query
 * @param k - how many of the nearest count
 * @throws {@link KnnError} `LAMBDA_RANGE` when a function gives anything but 0 to 1
 */
export function lambdaOf(
  lambda: number | LambdaFunction,
  neighbors: Neighbors,
  query: number,
  k?: number,
): number {
  if (typeof lambda === 'number') return lambda;
  const distance = nearestDistance(neighbors, query, k);
  const value = lambda(distance);
  if (value >= 0 && value <= 1) return value;
  throw new KnnError(
    'LAMBDA_RANGE',
    `lambda is ${value} at the distance ${distance}; it must lie between 0 and 1`,
    {
      hint: 'Check the function that gives lambda.',
      details: { lambda: value, distance },
    },
  );
}

/**
 * Mixes the model's distribution with the neighbours' at each token of a batch.
 *
 * @param batch - scored tokens
 * @param mixing - lambda, temperature and k
 */
export function mixBatch(
  batch: Pick<ScoredBatch, 'tokens' | 'lmLogProbs' | 'neighbors'>,
  mixing: Mixing,
): Mixture {
  const { tokens, lmLogProbs, neighbors } = batch;
  const logProbs = Float64Array.from(lmLogProbs);
  if (neighbors === undefined) return { logProbs, knnProbs: undefined };
  const { lambda, temperature, k } = mixing;
  const knnProbs = new Float64Array(tokens.length);
  for (let i = 0; i < tokens.length; i++) {
    knnProbs[i] = knnProbability(neighbors, i, tokens[i], temperature, k);
    logProbs[i] = interpolate(logProbs[i], knnProbs[i], lambdaOf(lambda, neighbors, i, k));
  }
  return { logProbs, knnProbs };
}
