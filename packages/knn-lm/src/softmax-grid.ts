import { knnProbability, missingDistance, type Neighbors } from './probability.js';

/**
 * A sum of weights below this may have lost digits: the nearest neighbours are beyond the first k then, which only
 * happens where recomputed distances are not in order.
 */
const leastExactTotal = 1e-250;

/**
 * p_kNN of one token for every combination of some temperatures and numbers of neighbours, in one pass over the
 * neighbours for each temperature: the sums of the first k are read off on the way. Where a temperature is half another,
 * its weights are the squares of the other's, which saves the exponentials.
 *
 * The results are those of {@link knnProbability}, to the rounding of double precision.
 */
export class SoftmaxGrid {
  readonly #temperatures: readonly number[];
  /** For each temperature the one that is twice as high, or -1. */
  readonly #doubles: readonly number[];
  /** The order in which temperatures are computed: the highest first. */
  readonly #order: readonly number[];
  /** Numbers of neighbours, ascending, and where each is in the caller's order. */
  readonly #ks: readonly { readonly k: number; readonly at: number }[];
  readonly #largestK: number;
  readonly #weights: readonly Float64Array[];
  /** The neighbours whose value is the token. */
  readonly #matches: Int32Array;

  /**
   * Prepares the grid.
   *
   * @param ks - numbers of neighbours
   * @param temperatures - divisors of the squared distances
   */
  constructor(ks: readonly number[], temperatures: readonly number[]) {
    this.#temperatures = temperatures;
    this.#doubles = temperatures.map((temperature) => temperatures.indexOf(2 * temperature));
    this.#order = temperatures.map((_, t) => t).sort((a, b) => temperatures[b] - temperatures[a]);
    this.#ks = ks.map((k, at) => ({ k, at })).sort((a, b) => a.k - b.k);
    this.#largestK = Math.max(...ks);
    this.#weights = temperatures.map(() => new Float64Array(this.#largestK));
    this.#matches = new Int32Array(this.#largestK);
  }

  /**
   * Computes p_kNN of one token.
   *
   * @param neighbors - neighbours of all queries, as many as the largest k or more
   * @param query - row of the query
   * @param token - the token whose probability is wanted
   * @param target - `[ks, temperatures]` receives the probabilities, in the order of the constructor's lists
   */
  probabilities(neighbors: Neighbors, query: number, token: number, target: Float64Array): void {
    const { distances, values } = neighbors;
    const begin = query * neighbors.k;
    const largestK = this.#largestK;
    let nearest = Infinity;
    let matchCount = 0;
    for (let i = 0; i < largestK; i++) {
      if (distances[begin + i] < nearest) nearest = distances[begin + i];
      if (values[begin + i] === token) this.#matches[matchCount++] = i;
    }
    if (matchCount === 0 || !(nearest < missingDistance)) {
      target.fill(0);
      return;
    }
    for (const t of this.#order) {
      this.#fillWeights(t, neighbors, begin, nearest);
      this.#sumPrefixes(t, neighbors, query, token, matchCount, target);
    }
  }

  #fillWeights(t: number, neighbors: Neighbors, begin: number, nearest: number): void {
    const weights = this.#weights[t];
    const double = this.#doubles[t];
    const largestK = this.#largestK;
    if (double >= 0) {
      const roots = this.#weights[double];
      for (let i = 0; i < largestK; i++) weights[i] = roots[i] * roots[i];
      return;
    }
    const { distances } = neighbors;
    const temperature = this.#temperatures[t];
    for (let i = 0; i < largestK; i++) weights[i] = Math.exp((nearest - distances[begin + i]) / temperature);
  }

  #sumPrefixes(
    t: number,
    neighbors: Neighbors,
    query: number,
    token: number,
    matchCount: number,
    target: Float64Array,
  ): void {
    const weights = this.#weights[t];
    const counts = neighbors.weights;
    const begin = query * neighbors.k;
    const temperatureCount = this.#temperatures.length;
    let total = 0;
    let matching = 0;
    let i = 0;
    let match = 0;
    for (const { k, at } of this.#ks) {
      if (counts === undefined) for (; i < k; i++) total += weights[i];
      else for (; i < k; i++) total += weights[i] * counts[begin + i];
      for (; match < matchCount && this.#matches[match] < k; match++) {
        const index = this.#matches[match];
        matching += counts === undefined ? weights[index] : weights[index] * counts[begin + index];
      }
      target[at * temperatureCount + t] =
        total < leastExactTotal
          ? knnProbability(neighbors, query, token, this.#temperatures[t], k)
          : matching / total;
    }
  }
}
