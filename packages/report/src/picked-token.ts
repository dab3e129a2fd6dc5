import { missingDistance, neighborShares, type RetrievedNeighbors } from '@knn-lm/knn-lm';

/** One token with all of its neighbours; their arrays may be views into those of a batch. */
export interface TokenView {
  /** Id. */
  readonly token: number;
  /** Place in the text. */
  readonly position: number;
  /** Natural logarithm of the model's probability. */
  readonly lmLogProb: number;
  /** Natural logarithm of the mixture. */
  readonly logProb: number;
  /** p_kNN. */
  readonly knnProb: number;
  /** Divisor of the squared distances. */
  readonly temperature: number;
  /** All of its neighbours: the arrays are `[k]`. */
  readonly neighbors: RetrievedNeighbors;
}

/** One of the nearest neighbours. */
export interface PickedNeighbor {
  /** Row of the datastore. */
  readonly row: number;
  /** Squared distance. */
  readonly distance: number;
  /** Part of the weight of all neighbours. */
  readonly share: number;
  /** Id of the token that followed. */
  readonly value: number;
}

/** One token with its nearest neighbours and what all of them predict. */
export interface PickedToken {
  /** Id. */
  readonly token: number;
  /** Natural logarithm of the model's probability. */
  readonly lmLogProb: number;
  /** Natural logarithm of the mixture. */
  readonly logProb: number;
  /** p_kNN. */
  readonly knnProb: number;
  /** Ids with the largest shares of the neighbours' weight. */
  readonly predictions: readonly { readonly value: number; readonly share: number }[];
  /** Nearest first. */
  readonly neighbors: readonly PickedNeighbor[];
}

/** Keeps of a token's neighbours what a reader wants to see. */
export function describeToken(
  view: TokenView,
  limits: { readonly neighbors: number; readonly predictions: number },
): PickedToken {
  const { token, lmLogProb, logProb, knnProb, temperature } = view;
  const { ids, distances, values } = view.neighbors;
  const shares = neighborShares(view.neighbors, 0, { temperature });
  const found = Array.from(distances.keys()).filter((i) => distances[i] < missingDistance);
  // Recomputed distances keep the order of the index's approximate ones: the nearest need not come first.
  const nearest = found.sort((a, b) => distances[a] - distances[b]).slice(0, limits.neighbors);
  return {
    token,
    lmLogProb,
    logProb,
    knnProb,
    predictions: predictionsOf(values, shares).slice(0, limits.predictions),
    neighbors: nearest.map((i) => ({
      row: ids[i],
      distance: distances[i],
      share: shares[i],
      value: values[i],
    })),
  };
}

function predictionsOf(values: Int32Array, shares: Float64Array): { value: number; share: number }[] {
  const sums = new Map<number, number>();
  for (const [i, value] of values.entries()) {
    if (shares[i] > 0) sums.set(value, (sums.get(value) ?? 0) + shares[i]);
  }
  return [...sums].map(([value, share]) => ({ value, share })).sort((a, b) => b.share - a.share);
}
