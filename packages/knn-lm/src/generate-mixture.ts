import { lambdaOf, type Mixing } from './mixture.js';
import { interpolate, missingDistance, type RetrievedNeighbors } from './probability.js';

/** The distribution of the next token, and what it was mixed from. */
export interface NextToken {
  /** `[vocabulary]` natural logarithms of the mixture; the model's own where nothing was searched. */
  readonly logProbs: Float64Array;
  /** p_kNN of each token that a neighbour has as its value. */
  readonly knnProbs: ReadonlyMap<number, number>;
  /** Weight of the neighbours; 0 where nothing was searched. */
  readonly lambda: number;
}

/**
 * p_kNN of every token that the neighbours of one query have as their values; see `knnProbability`.
 *
 * @param neighbors - neighbours of one query
 * @param temperature - divides the distances
 * @param k - how many of the nearest count; all of them when left out
 */
export function knnDistribution(
  { distances, values, weights, k: found }: RetrievedNeighbors,
  temperature: number,
  k: number = found,
): Map<number, number> {
  let nearest = Infinity;
  for (let i = 0; i < k; i++) nearest = Math.min(nearest, distances[i]);
  const probs = new Map<number, number>();
  if (!(nearest < missingDistance)) return probs;
  let total = 0;
  for (let i = 0; i < k; i++) {
    const weight = Math.exp((nearest - distances[i]) / temperature) * (weights?.[i] ?? 1);
    total += weight;
    if (weight > 0) probs.set(values[i], (probs.get(values[i]) ?? 0) + weight);
  }
  for (const [token, weight] of probs) probs.set(token, weight / total);
  return probs;
}

/**
 * Mixes the model's distribution of the next token with that of the neighbours.
 *
 * @param lmLogProbs - `[vocabulary]` natural logarithms
 * @param neighbors - neighbours of the query; `undefined` where nothing was searched
 * @param mixing - lambda, temperature, k
 */
export function mixNextToken(
  lmLogProbs: Float32Array,
  neighbors: RetrievedNeighbors | undefined,
  mixing: Mixing,
): NextToken {
  if (neighbors === undefined) {
    return { logProbs: Float64Array.from(lmLogProbs), knnProbs: new Map(), lambda: 0 };
  }
  const lambda = lambdaOf(mixing.lambda, neighbors, 0, mixing.k);
  const knnProbs = knnDistribution(neighbors, mixing.temperature, mixing.k);
  const modelShare = Math.log1p(-lambda);
  const logProbs = Float64Array.from(lmLogProbs, (logProb) => logProb + modelShare);
  for (const [token, prob] of knnProbs) {
    if (token < logProbs.length) logProbs[token] = interpolate(lmLogProbs[token], prob, lambda);
  }
  return { logProbs, knnProbs, lambda };
}
