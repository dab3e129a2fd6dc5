import type { Neighbors } from './knn-index.js';

/**
 * The k nearest of two results: `[n, k]` each, nearest first, -1 where there are no more. At the same distance the smaller
 * id comes first.
 */
export function mergeNearest(a: Neighbors, b: Neighbors, k: number): Neighbors {
  const ids = new Float64Array(a.ids.length);
  const distances = new Float32Array(a.ids.length);
  for (let row = 0; row < ids.length; row += k) {
    let i = row;
    let j = row;
    for (let at = row; at < row + k; at++) {
      const fromA = b.ids[j] < 0 || (a.ids[i] >= 0 && comesFirst(a, i, b, j));
      const from = fromA ? a : b;
      const next = fromA ? i++ : j++;
      ids[at] = from.ids[next];
      distances[at] = from.distances[next];
    }
  }
  return { ids, distances };
}

function comesFirst(a: Neighbors, i: number, b: Neighbors, j: number): boolean {
  return a.distances[i] < b.distances[j] || (a.distances[i] === b.distances[j] && a.ids[i] < b.ids[j]);
}
