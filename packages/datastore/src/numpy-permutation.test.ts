import { describe, expect, it } from 'vitest';
import { numpyPermutation } from './numpy-permutation.js';

// python3 -c "import numpy; print(numpy.random.default_rng(SEED).permutation(12))", numpy 2.4.6; and a sum over 100,000.
const golden: [seed: number, first: number[], sum: number][] = [
  [0, [9, 2, 7, 4, 5, 11, 0, 3, 6, 10, 8, 1], 49898575561],
  [1, [8, 11, 4, 7, 5, 0, 1, 9, 2, 10, 6, 3], 49904883789],
  [7, [4, 6, 10, 0, 1, 3, 8, 7, 2, 5, 9, 11], 49960112135],
  [2 ** 31 + 5, [9, 11, 8, 1, 5, 2, 6, 3, 10, 7, 4, 0], 50010260892],
  [2 ** 40 + 3, [2, 4, 10, 9, 6, 5, 3, 7, 11, 0, 8, 1], 49911754722],
];

describe('numpyPermutation', () => {
  it.each(golden)('seed %s: the order of numpy', (seed, first, sum) => {
    expect([...numpyPermutation(seed, 12)]).toEqual(first);
    const long = numpyPermutation(seed, 100_000);
    expect(long.reduce((total, value, i) => total + ((value * i) % 1000003), 0)).toBe(sum);
    expect(new Set(long).size).toBe(100_000);
  });

  it('of nothing and of one', () => {
    expect([...numpyPermutation(1, 0)]).toEqual([]);
    expect([...numpyPermutation(1, 1)]).toEqual([0]);
  });
});
