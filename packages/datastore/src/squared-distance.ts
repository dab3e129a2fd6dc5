/** Element i is added to lane i mod 32, as in `native/kernels.h`. */
const laneCount = 32;

const lanes = new Float32Array(laneCount);

/**
 * Squared Euclidean distance in single precision: the same operations in the same order, each rounded to float32, as
 * the native kernels, so that the result is the same to the last bit.
 *
 * All terms are positive, so that the relative error against exact arithmetic is at most about
 * `(dimension / 32 + 8) * 2^-24`: 2.4e-6 at dimension 1024.
 *
 * @param queries - holds the query
 * @param start - its first element
 * @param key - `[dimension]`
 */
export function squaredDistance(queries: Float32Array, start: number, key: Float32Array): number {
  lanes.fill(0);
  for (let i = 0; i < key.length; i++) {
    // A product or sum of two float32 computed in float64 and rounded once is the float32 result (53 >= 2 * 24 + 2).
    const difference = Math.fround(queries[start + i] - key[i]);
    lanes[i % laneCount] += Math.fround(difference * difference);
  }
  for (let width = laneCount / 2; width >= 1; width /= 2)
    for (let j = 0; j < width; j++) lanes[j] += lanes[j + width];
  return lanes[0];
}
