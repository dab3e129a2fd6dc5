import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkSettings, interpolate, knnProbability, type Neighbors } from './probability.js';

const some = (distances: number[], values: number[], weights?: number[]): Neighbors => ({
  k: distances.length,
  distances: Float32Array.from(distances),
  values: Int32Array.from(values),
  weights: weights === undefined ? undefined : Float32Array.from(weights),
});

describe('knnProbability', () => {
  it('is the softmax of minus the distances, summed over the neighbours with the token', () => {
    const neighbors = some([1, 2, 3], [7, 8, 7]);
    const weights = [Math.exp(-1), Math.exp(-2), Math.exp(-3)];
    const expected = (weights[0] + weights[2]) / (weights[0] + weights[1] + weights[2]);
    expect(knnProbability(neighbors, 0, 7, 1)).toBeCloseTo(expected, 12);
    expect(knnProbability(neighbors, 0, 9, 1)).toBe(0);
  });

  it('adds up to 1 over all values, for any distances and temperature', () => {
    const neighbor = fc.record({ distance: fc.float({ min: 0, max: 1e6, noNaN: true }), value: fc.nat(5) });
    fc.assert(
      fc.property(
        fc.array(neighbor, { minLength: 1, maxLength: 40 }),
        fc.double({ min: 0.01, max: 1000, noNaN: true }),
        (all, temperature) => {
          const neighbors = some(
            all.map(({ distance }) => distance),
            all.map(({ value }) => value),
          );
          let total = 0;
          for (let token = 0; token <= 5; token++) total += knnProbability(neighbors, 0, token, temperature);
          expect(total).toBeCloseTo(1, 9);
        },
      ),
    );
  });

  it('does not change when the same amount is added to every distance', () => {
    const near = knnProbability(some([0, 1.5, 4], [1, 2, 1]), 0, 1, 3);
    const far = knnProbability(some([4096, 4097.5, 4100], [1, 2, 1]), 0, 1, 3);
    expect(far).toBeCloseTo(near, 12);
  });

  it('gives missing neighbours no weight, and nothing at all the probability 0', () => {
    const missing = 3.4028234663852886e38;
    expect(knnProbability(some([5, missing, missing], [1, 2, 2]), 0, 1, 1)).toBe(1);
    expect(knnProbability(some([missing, Infinity], [1, 1]), 0, 1, 1)).toBe(0);
  });

  it('reads the row of its query and counts only the first k', () => {
    const neighbors: Neighbors = {
      k: 2,
      distances: Float32Array.of(0, 0, 1, 1),
      values: Int32Array.of(1, 1, 2, 3),
    };
    expect(knnProbability(neighbors, 1, 2, 1)).toBeCloseTo(0.5, 12);
    expect(knnProbability(neighbors, 1, 2, 1, 1)).toBe(1);
    expect(knnProbability(neighbors, 1, 3, 1, 1)).toBe(0);
  });

  it('lets an entry of weight n count as n entries', () => {
    const merged = knnProbability(some([1, 2], [1, 2], [3, 1]), 0, 1, 1);
    const separate = knnProbability(some([1, 1, 1, 2], [1, 1, 1, 2]), 0, 1, 1);
    expect(merged).toBeCloseTo(separate, 12);
  });
});

describe('interpolate', () => {
  it('mixes probabilities, not logarithms', () => {
    expect(Math.exp(interpolate(Math.log(0.2), 0.6, 0.25))).toBeCloseTo(0.75 * 0.2 + 0.25 * 0.6, 12);
  });

  it('is the model at lambda 0 and the neighbours at lambda 1', () => {
    expect(interpolate(-3.25, 0.9, 0)).toBe(-3.25);
    expect(interpolate(-3.25, 0.5, 1)).toBeCloseTo(Math.log(0.5), 12);
    expect(interpolate(-3.25, 0, 1)).toBe(-Infinity);
  });
});

describe('checkSettings', () => {
  it.each([
    [{ k: 0, lambda: 0.5, temperature: 1 }, 'NEIGHBORS_RANGE'],
    [{ k: 1.5, lambda: 0.5, temperature: 1 }, 'NEIGHBORS_RANGE'],
    [{ k: 1, lambda: 1.01, temperature: 1 }, 'LAMBDA_RANGE'],
    [{ k: 1, lambda: NaN, temperature: 1 }, 'LAMBDA_RANGE'],
    [{ k: 1, lambda: 0.5, temperature: 0 }, 'TEMPERATURE_RANGE'],
  ])('refuses %o', (settings, code) => {
    expect(() => checkSettings(settings)).toThrow(expect.objectContaining({ code }));
  });
});
