import { KnnError } from './errors.js';

/** The neighbours of a number of queries, row by row, nearest first. */
export interface Neighbors {
  /** Neighbours of each query. */
  readonly k: number;
  /** `[queries, k]` squared L2 distances; infinite or above 3e38 where a neighbour is missing. */
  readonly distances: Float32Array;
  /** `[queries, k]` token ids that followed the neighbours' contexts. */
  readonly values: Int32Array;
  /** `[queries, k]` weights of pruned entries (`weight.npy`); each entry counts once without it. */
  readonly weights?: Float32Array | undefined;
}

/** Neighbours as a search gives them: with the datastore's rows that they are. */
export interface RetrievedNeighbors extends Neighbors {
  /** `[queries, k]` rows of the datastore; -1 where a neighbour is missing. */
  readonly ids: Float64Array;
  /**
   * `[queries, k]` distances by which a shard of an index ordered them, for merging them with those of the others; only
   * where the retriever was asked to keep them.
   */
  readonly indexDistances?: Float32Array | undefined;
}

/**
 * p_kNN of one token: the share of the neighbours' softmax weight whose value is that token (Khandelwal et al. 2020,
 * equation 2, with a temperature).
 *
 * Computed in double precision with the smallest distance subtracted first, so that the result does not depend on the
 * scale of the distances. Missing neighbours weigh nothing; without any neighbour the result is 0.
 *
 * @param neighbors - neighbours of all queries
 * @param query - row of the query
 * @param token - the token whose probability is wanted
 * @param temperature - divides the distances; above 0
 * @param k - how many of the nearest count; all of them when left out
 */
export function knnProbability(
  neighbors: Neighbors,
  query: number,
  token: number,
  temperature: number,
  k: number = neighbors.k,
): number {
  const { distances, values, weights } = neighbors;
  const begin = query * neighbors.k;
  const end = begin + k;
  let nearest = Infinity;
  for (let i = begin; i < end; i++) if (distances[i] < nearest) nearest = distances[i];
  if (!(nearest < missingDistance)) return 0;
  let total = 0;
  let matching = 0;
  for (let i = begin; i < end; i++) {
    let weight = Math.exp((nearest - distances[i]) / temperature);
    if (weights !== undefined) weight *= weights[i];
    total += weight;
    if (values[i] === token) matching += weight;
  }
  return total === 0 ? 0 : matching / total;
}

/** Faiss returns the largest float for a neighbour that it did not find. */
export const missingDistance = 3.4e38;

/**
 * log(lambda * p_kNN + (1 - lambda) * p_LM), the interpolation of equation 3 of Khandelwal et al. 2020.
 *
 * @param lmLogProb - natural logarithm of p_LM
 * @param knnProb - p_kNN, between 0 and 1
 * @param lambda - weight of the neighbours, between 0 and 1
 * @returns natural logarithm; minus infinity where both probabilities are 0
 */
export function interpolate(lmLogProb: number, knnProb: number, lambda: number): number {
  if (lambda === 0) return lmLogProb;
  return Math.log((1 - lambda) * Math.exp(lmLogProb) + lambda * knnProb);
}

/**
 * Checks the settings of the interpolation.
 *
 * @throws {@link KnnError} `LAMBDA_RANGE`, `TEMPERATURE_RANGE` or `NEIGHBORS_RANGE`
 */
export function checkSettings(settings: { k: number; lambda: number; temperature: number }): void {
  const { k, lambda, temperature } = settings;
  if (!Number.isInteger(k) || k < 1) {
    throw new KnnError(
      'NEIGHBORS_RANGE',
      `the number of neighbours is ${k}; it must be a whole number from 1`,
      {
        hint: 'The papers use 1024.',
        details: { k },
      },
    );
  }
  if (!(lambda >= 0 && lambda <= 1)) {
    throw new KnnError('LAMBDA_RANGE', `lambda is ${lambda}; it must lie between 0 and 1`, {
      hint: 'lambda is the weight of the neighbours: 0.25 for WikiText-103.',
      details: { lambda },
    });
  }
  if (!(temperature > 0 && temperature < Infinity)) {
    throw new KnnError('TEMPERATURE_RANGE', `the temperature is ${temperature}; it must be above 0`, {
      hint: 'A temperature divides the squared distances; 1 leaves them as they are.',
      details: { temperature },
    });
  }
}
