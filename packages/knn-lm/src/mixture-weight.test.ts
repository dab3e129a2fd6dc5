import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expectationStep, fitMixtureWeight, type PairedProbs } from './mixture-weight.js';

const pairs: fc.Arbitrary<PairedProbs> = fc
  .array(
    fc.record({
      knn: fc.oneof(fc.constant(0), fc.float({ min: 0, max: 1, noNaN: true })),
      lm: fc.double({ min: 1e-9, max: 1, noNaN: true }),
    }),
    { minLength: 1, maxLength: 80 },
  )
  .map((tokens) => ({
    knnProbs: Float32Array.from(tokens, ({ knn }) => knn),
    lmProbs: Float64Array.from(tokens, ({ lm }) => lm),
  }));

function logLikelihood({ knnProbs, lmProbs }: PairedProbs, lambda: number): number {
  let sum = 0;
  for (let i = 0; i < knnProbs.length; i++) sum += Math.log((1 - lambda) * lmProbs[i] + lambda * knnProbs[i]);
  return sum;
}

describe('fitMixtureWeight', () => {
  it('finds the weight that is best on a fine grid', () => {
    fc.assert(
      fc.property(pairs, (tokens) => {
        const found = logLikelihood(tokens, fitMixtureWeight(tokens).lambda);
        let best = -Infinity;
        for (let step = 0; step <= 2000; step++) best = Math.max(best, logLikelihood(tokens, step / 2000));
        expect(found).toBeGreaterThanOrEqual(best - 1e-8 * tokens.knnProbs.length);
      }),
      { numRuns: 300 },
    );
  });

  it('goes where expectation maximisation goes, and never down', () => {
    fc.assert(
      fc.property(pairs, (tokens) => {
        let lambda = 0.5;
        let before = -Infinity;
        for (let i = 0; i < 300; i++) {
          const now = logLikelihood(tokens, lambda);
          expect(now).toBeGreaterThanOrEqual(before - 1e-9);
          before = now;
          lambda = expectationStep(lambda, tokens);
        }
        const { lambda: fitted, logLikelihoods } = fitMixtureWeight(tokens);
        expect(logLikelihood(tokens, fitted)).toBeGreaterThanOrEqual(before - 1e-8 * tokens.knnProbs.length);
        for (let i = 1; i < logLikelihoods.length; i++) {
          expect(logLikelihoods[i]).toBeGreaterThanOrEqual(logLikelihoods[i - 1]);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('is 0 where neighbours only hurt, and 1 where they are always better', () => {
    const worse = { knnProbs: Float32Array.of(0.1, 0.2), lmProbs: Float64Array.of(0.4, 0.5) };
    const better = { knnProbs: Float32Array.of(0.4, 0.5), lmProbs: Float64Array.of(0.1, 0.2) };
    expect(fitMixtureWeight(worse).lambda).toBe(0);
    expect(fitMixtureWeight(better).lambda).toBe(1);
  });

  it('needs few iterations where there are many tokens', () => {
    const knnProbs = Float32Array.from({ length: 5000 }, (_, i) => (i % 3 === 0 ? (i % 7) / 7 : 0));
    const lmProbs = Float64Array.from({ length: 5000 }, (_, i) => 1 / (2 + (i % 40)));
    expect(fitMixtureWeight({ knnProbs, lmProbs }).logLikelihoods.length).toBeLessThan(12);
  });

  it('stays near the prior where there are few tokens', () => {
    const tokens = { knnProbs: Float32Array.of(0.9), lmProbs: Float64Array.of(0.001) };
    expect(fitMixtureWeight(tokens).lambda).toBe(1);
    const { lambda } = fitMixtureWeight(tokens, { weight: 0.2, tokens: 16 });
    expect(lambda).toBeGreaterThan(0.2);
    expect(lambda).toBeLessThan(0.3);
  });
});
