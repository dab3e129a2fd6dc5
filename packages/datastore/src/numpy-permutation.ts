import { Pcg64 } from '@knn-lm/common';

/**
 * `numpy.random.default_rng(seed).permutation(count)`: a Fisher-Yates shuffle from the back (Generator.permutation).
 *
 * @param seed - 0 to 2^53 - 1
 * @param count - below 2^32 - 1
 * @returns `[count]`
 */
export function numpyPermutation(seed: number, count: number): Uint32Array {
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  const random = new Pcg64(seed);
  for (let i = count - 1; i > 0; i--) {
    const j = bounded(random, i);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** A number from 0 to `maximum`, without bias: bits until they fit (numpy's `random_interval`). */
function bounded(random: Pcg64, maximum: number): number {
  const mask = maximum === 0 ? 0 : 0xffffffff >>> Math.clz32(maximum);
  for (;;) {
    const drawn = (random.nextUint32() & mask) >>> 0;
    if (drawn <= maximum) return drawn;
  }
}
