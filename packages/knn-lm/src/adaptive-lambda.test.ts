import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitAdaptiveLambda, lambdaFunction, type DistancedProbs } from './adaptive-lambda.js';
import { fitMixtureWeight } from './mixture-weight.js';
import { lossWith } from './tune-fits.js';

/** Tokens whose neighbours are right with a probability that depends on the distance. */
function tokensOf(count: number, rightAt: (distance: number) => number, seed: number): DistancedProbs {
  let state = seed >>> 0;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const nearest = Float32Array.from({ length: count }, () => 100 * random());
  const knnProbs = Float32Array.from(nearest, (distance) => (random() < rightAt(distance) ? 0.9 : 0));
  const lmProbs = Float64Array.from(nearest, () => 0.02 + 0.2 * random());
  return { nearest, knnProbs, lmProbs };
}

describe('fitAdaptiveLambda', () => {
  it('trusts near neighbours more, and beats any constant where they deserve it', () => {
    const tokens = tokensOf(6000, (distance) => 0.9 - distance / 120, 5);
    const adaptive = fitAdaptiveLambda(tokens);
    expect(adaptive.lambdas.length).toBeGreaterThan(5);
    const constant = fitMixtureWeight(tokens).lambda;
    const loss = lossWith(tokens, lambdaFunction(adaptive)).result().lossBase2;
    expect(loss).toBeLessThan(lossWith(tokens, () => constant).result().lossBase2 - 0.05);
  });

  it('never rises with the distance', () => {
    fc.assert(
      fc.property(fc.integer(), fc.double({ min: 0, max: 0.9, noNaN: true }), (seed, right) => {
        const { lambdas, edges } = fitAdaptiveLambda(tokensOf(1500, () => right, seed));
        expect(edges).toHaveLength(lambdas.length - 1);
        for (let i = 1; i < lambdas.length; i++) expect(lambdas[i]).toBeLessThan(lambdas[i - 1]);
      }),
      { numRuns: 50 },
    );
  });

  it('is the best step function that does not rise', () => {
    // Two steps of equal size; the second wants more weight than the first, so that they get one.
    const tokens = tokensOf(400, (distance) => (distance < 50 ? 0.2 : 0.6), 11);
    const { lambdas } = fitAdaptiveLambda(tokens, { steps: 2 });
    expect(lambdas).toHaveLength(1);
    expect(lambdas[0]).toBeCloseTo(fitMixtureWeight(tokens).lambda, 3);
  });

  it('gives tokens without neighbours to the model alone, and few tokens one weight', () => {
    const tokens = tokensOf(50, () => 0.5, 2);
    tokens.nearest.fill(Infinity, 0, 10);
    const adaptive = fitAdaptiveLambda(tokens);
    expect(adaptive.lambdas).toHaveLength(1);
    expect(lambdaFunction(adaptive)(Infinity)).toBe(0);
  });
});

describe('lambdaFunction', () => {
  const adaptive = { kind: 'nearest-distance', edges: [10, 20], lambdas: [0.9, 0.5, 0.1] } as const;

  it('takes the step of the first edge that is not nearer', () => {
    const lambda = lambdaFunction(adaptive);
    expect([0, 10, 10.5, 20, 21, 1e30].map(lambda)).toEqual([0.9, 0.9, 0.5, 0.5, 0.1, 0.1]);
  });

  it.each([
    { ...adaptive, lambdas: [0.9, 1.5, 0.1] },
    { ...adaptive, lambdas: [0.9, 0.1] },
    { ...adaptive, edges: [20, 10] },
    { ...adaptive, edges: [NaN, 10] },
  ])('refuses %j', (wrong) => {
    expect(() => lambdaFunction(wrong)).toThrow(expect.objectContaining({ code: 'LAMBDA_RANGE' }));
  });
});
