import fc from 'fast-check';
import { expect, it } from 'vitest';
import { LossSum } from './evaluate.js';
import { LossGrid } from './loss-grid.js';
import { interpolate } from './probability.js';

const lambdas = [0, 0.3, 1];
const probability = fc.oneof(
  { weight: 6, arbitrary: fc.double({ min: 0, max: 1, noNaN: true }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1e-300, 1e-120) },
);

it('sums what interpolating token by token sums, tokens of probability 0 apart', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(probability, probability, probability), { minLength: 1, maxLength: 60 }),
      (tokens) => {
        const grid = new LossGrid(2, lambdas);
        for (const [first, second, lm] of tokens) grid.add(Float64Array.of(first, second), lm);
        for (const distribution of [0, 1]) {
          for (const [l, lambda] of lambdas.entries()) {
            const loss = new LossSum();
            for (const token of tokens)
              loss.add(interpolate(Math.log(token[2]), token[distribution], lambda));
            const { logProbSum, tokenCount, infiniteCount } = grid.result(distribution, l);
            const expected = loss.result();
            expect([tokenCount, infiniteCount]).toEqual([expected.tokenCount, expected.infiniteCount]);
            expect(Math.abs(logProbSum - expected.logProbSum)).toBeLessThan(
              1e-10 * (1 + Math.abs(logProbSum)),
            );
          }
        }
      },
    ),
  );
});
