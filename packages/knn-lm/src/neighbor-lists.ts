import type { RetrievedNeighbors } from './probability.js';

/** Neighbours found in one shard of an index, with what is needed to merge them with those of the others. */
export interface NeighborLists extends RetrievedNeighbors {
  /** `[queries, k]` distances by which the index ordered them; `distances` are the same, or recomputed from the keys. */
  readonly indexDistances: Float32Array;
}

/**
 * The k nearest of two shards, by the distances of the index; at the same distance the smaller id comes first, as where
 * all shards are searched by one process.
 *
 * @param a - neighbours in one shard
 * @param b - those of the same queries in another
 */
export function mergeNeighborLists(a: NeighborLists, b: NeighborLists): NeighborLists {
  const { k } = a;
  const size = a.ids.length;
  const merged = {
    k,
    ids: new Float64Array(size),
    indexDistances: new Float32Array(size),
    distances: new Float32Array(size),
    values: new Int32Array(size),
    weights: a.weights === undefined || b.weights === undefined ? undefined : new Float32Array(size),
  };
  for (let row = 0; row < size; row += k) {
    let i = row;
    let j = row;
    for (let at = row; at < row + k; at++) {
      const fromA = b.ids[j] < 0 || (a.ids[i] >= 0 && comesFirst(a, i, b, j));
      const from = fromA ? a : b;
      const place = fromA ? i++ : j++;
      merged.ids[at] = from.ids[place];
      merged.indexDistances[at] = from.indexDistances[place];
      merged.distances[at] = from.distances[place];
      merged.values[at] = from.values[place];
      if (merged.weights !== undefined) merged.weights[at] = from.weights?.[place] ?? 1;
    }
  }
  return merged;
}

function comesFirst(a: NeighborLists, i: number, b: NeighborLists, j: number): boolean {
  const [first, second] = [a.indexDistances[i], b.indexDistances[j]];
  return first < second || (first === second && a.ids[i] < b.ids[j]);
}
