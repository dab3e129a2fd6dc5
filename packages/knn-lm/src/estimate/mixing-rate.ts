import { knnProbability } from '../probability.js';

/** Queries that are computed. */
const queries = 256;

/**
 * Measures how long the probability of a token takes to compute from its neighbours, once they are found.
 *
 * @param k - neighbours of a token
 * @returns seconds a token
 */
export function measureMixingRate(k: number): number {
  const distances = Float32Array.from({ length: queries * k }, (_, i) => (i * 7919) % 1009);
  const values = Int32Array.from({ length: queries * k }, (_, i) => (i * 104_729) % 5003);
  const neighbors = { k, distances, values };
  const once = () => {
    const startMs = performance.now();
    for (let i = 0; i < queries; i++) knnProbability(neighbors, i, values[i * k], 10);
    return (performance.now() - startMs) / 1000 / queries;
  };
  once(); // Compiled when it has run for a while.
  return Math.min(once(), once());
}
