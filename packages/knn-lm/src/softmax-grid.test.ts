import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { knnProbability, type Neighbors } from './probability.js';
import { SoftmaxGrid } from './softmax-grid.js';

const distance = fc.oneof(
  { weight: 10, arbitrary: fc.float({ min: 0, max: 400, noNaN: true }) },
  { weight: 1, arbitrary: fc.float({ min: 0, max: Math.fround(1e6), noNaN: true }) },
  { weight: 1, arbitrary: fc.constant(Math.fround(3.4028234663852886e38)) },
);
const neighbor = fc.record({ distance, value: fc.nat(3), weight: fc.integer({ min: 1, max: 9 }) });

describe('SoftmaxGrid', () => {
  it('gives p_kNN for every k and temperature, whatever the order of the distances', () => {
    fc.assert(
      fc.property(
        fc.array(neighbor, { minLength: 12, maxLength: 12 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 4 }),
        fc.uniqueArray(fc.constantFrom(0.5, 1, 2, 3, 4, 8, 10, 100), { minLength: 1, maxLength: 5 }),
        fc.boolean(),
        (all, ks, temperatures, weighted) => {
          const neighbors: Neighbors = {
            k: 6,
            distances: Float32Array.from(all, (one) => one.distance),
            values: Int32Array.from(all, (one) => one.value),
            weights: weighted ? Float32Array.from(all, (one) => one.weight) : undefined,
          };
          const used = ks.map((k) => Math.min(k, 6));
          const grid = new SoftmaxGrid(used, temperatures);
          const target = new Float64Array(used.length * temperatures.length).fill(NaN);
          grid.probabilities(neighbors, 1, 2, target);
          const expected = used.flatMap((k) =>
            temperatures.map((t) => knnProbability(neighbors, 1, 2, t, k)),
          );
          for (const [i, probability] of expected.entries()) {
            expect(Math.abs(target[i] - probability)).toBeLessThanOrEqual(1e-12 * probability + 1e-290);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('does not lose the first neighbours where a much nearer one comes later', () => {
    const neighbors: Neighbors = {
      k: 3,
      distances: Float32Array.of(5000, 5001, 10),
      values: Int32Array.of(7, 8, 9),
    };
    const target = new Float64Array(2);
    new SoftmaxGrid([2, 3], [1]).probabilities(neighbors, 0, 7, target);
    expect(target[0]).toBeCloseTo(1 / (1 + Math.exp(-1)), 12);
    expect(target[1]).toBe(0);
  });
});
