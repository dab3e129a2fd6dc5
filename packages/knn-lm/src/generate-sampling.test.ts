import { Pcg64 } from '@knn-lm/common';
import { describe, expect, it } from 'vitest';
import { checkSampling, drawableTokens, drawCoupled } from './generate-sampling.js';

const logs = (probs: readonly number[]): Float64Array => Float64Array.from(probs, Math.log);
const entries = (...arguments_: Parameters<typeof drawableTokens>): [number, number][] => {
  const { tokens, probs } = drawableTokens(...arguments_);
  return Array.from(tokens, (token, i) => [token, Number(probs[i].toFixed(12))]);
};

describe('drawableTokens', () => {
  const five = logs([0.1, 0.3, 0.1, 0.4, 0.1]);

  it.each<[string, Parameters<typeof drawableTokens>[1], [number, number][]]>([
    [
      'everything',
      {},
      [
        [0, 0.1],
        [1, 0.3],
        [2, 0.1],
        [3, 0.4],
        [4, 0.1],
      ],
    ],
    [
      'top-k',
      { topK: 2 },
      [
        [3, 0.4 / 0.7],
        [1, 0.3 / 0.7],
      ],
    ],
    [
      'ties by id',
      { topK: 3 },
      [
        [3, 0.5],
        [1, 0.375],
        [0, 0.125],
      ],
    ],
    [
      'the nucleus with the token that crosses its border',
      { topP: 0.5 },
      [
        [3, 0.4 / 0.7],
        [1, 0.3 / 0.7],
      ],
    ],
    ['at least one', { topP: 0.01 }, [[3, 1]]],
    ['top-k, then the nucleus of what is left', { topK: 2, topP: 0.5 }, [[3, 1]]],
    [
      'a temperature',
      { temperature: 0.5, topK: 2 },
      [
        [3, 0.64],
        [1, 0.36],
      ],
    ],
    [
      'more than there are',
      { topK: 9 },
      [
        [0, 0.1],
        [1, 0.3],
        [2, 0.1],
        [3, 0.4],
        [4, 0.1],
      ],
    ],
  ])('%s', (_, sampling, expected) => {
    const rounded = expected.map(([token, prob]) => [token, Number(prob.toFixed(12))]);
    expect(entries(five, sampling)).toEqual(rounded);
  });

  it('leaves out what is impossible', () => {
    expect(entries(logs([0, 0.5, 0, 0.5]), {})).toEqual([
      [1, 0.5],
      [3, 0.5],
    ]);
    expect(entries(logs([0, 0.5, 0, 0.5]), { topK: 3 })).toEqual([
      [1, 0.5],
      [3, 0.5],
    ]);
  });

  it('finds the nucleus among many', () => {
    const many = Float64Array.from({ length: 50_000 }, (__, i) => -((i * 7919) % 50_000) / 100);
    const { tokens, probs } = drawableTokens(many, { topP: 0.9 });
    // A geometric distribution: 1 - exp(-n / 100) >= 0.9 for n >= 230.26.
    expect(tokens).toHaveLength(231);
    expect([...probs]).toEqual([...probs].sort((a, b) => b - a));
  });
});

describe('drawCoupled', () => {
  const wanted = drawableTokens(logs([0.1, 0.2, 0, 0.3, 0.4]), {});
  const reference = drawableTokens(logs([0.25, 0.25, 0.25, 0.25, 0]), { topK: 4 });

  it('gives both distributions, and differs as rarely as it can', () => {
    const random = new Pcg64(3);
    const draws = 40_000;
    const counts = { token: new Float64Array(5), reference: new Float64Array(5), different: 0 };
    for (let i = 0; i < draws; i++) {
      const draw = drawCoupled(wanted, reference, random);
      counts.token[draw.token] += 1 / draws;
      counts.reference[draw.reference] += 1 / draws;
      if (draw.token !== draw.reference) counts.different += 1 / draws;
    }
    // Standard deviations are 0.0025 at most.
    [0.1, 0.2, 0, 0.3, 0.4].forEach((prob, token) => expect(counts.token[token]).toBeCloseTo(prob, 1.8));
    [0.25, 0.25, 0.25, 0.25, 0].forEach((prob, token) =>
      expect(counts.reference[token]).toBeCloseTo(prob, 1.8),
    );
    // Total variation: 0.05 + 0.4.
    expect(counts.different).toBeCloseTo(0.45, 1.8);
  });

  it('is the same draw where the distributions are the same', () => {
    const random = new Pcg64(4);
    for (let i = 0; i < 1000; i++) {
      const { token, reference: other } = drawCoupled(wanted, wanted, random);
      expect(token).toBe(other);
    }
  });

  it("draws with numpy's random numbers", () => {
    // numpy.random.default_rng(1).random(): 0.5118216247002567, then two that are not needed, then 0.9486494471372439.
    const even = drawableTokens(new Float64Array(1000), {});
    const random = new Pcg64(1);
    expect(drawCoupled(even, even, random).token).toBe(511);
    expect(drawCoupled(even, even, random).token).toBe(948);
  });
});

describe('checkSampling', () => {
  it.each([
    { seed: -1 },
    { seed: 1.5 },
    { seed: 1, temperature: 0 },
    { seed: 1, temperature: NaN },
    { seed: 1, topK: 0 },
    { seed: 1, topK: 2.5 },
    { seed: 1, topP: 0 },
    { seed: 1, topP: 1.01 },
  ])('refuses %j', (sampling) => {
    expect(() => checkSampling(sampling)).toThrow(expect.objectContaining({ code: 'SAMPLING_RANGE' }));
  });
});
