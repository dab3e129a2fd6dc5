import { describe, expect, it } from 'vitest';
import { datasetOf, dictionaryOf, fakeModel, fakeRetriever, planOf } from '../test/support/fake.js';
import { lambdaFunction } from './adaptive-lambda.js';
import { evaluate, evaluateEach } from './evaluate.js';
import { tune } from './tune.js';

const sentences = Array.from({ length: 200 }, (_, s) => [
  ...Array.from({ length: 3 + (s % 7) }, (_unused, i) => 4 + ((s * 5 + i * 3) % 36)),
  2,
]);
const plan = planOf(datasetOf(sentences), dictionaryOf(40), { breakMode: 'complete' });
const retriever = fakeRetriever(16);
const grid = { lambdas: [0, 0.2, 0.6, 1], temperatures: [1, 2, 7], ks: [16, 1, 5] };

describe('tune', () => {
  it('gives every combination the loss that evaluating it alone gives', async () => {
    const { results, best, lm } = await tune(fakeModel(), plan, retriever, grid);
    expect(results.map(({ k, temperature, lambda }) => [k, temperature, lambda])).toEqual(
      grid.ks.flatMap((k) => grid.temperatures.flatMap((t) => grid.lambdas.map((lambda) => [k, t, lambda]))),
    );
    for (const result of results) {
      const { k, lambda, temperature } = result;
      const alone = await evaluate(fakeModel(), plan, { retriever, k, lambda, temperature });
      expect([result.tokenCount, result.infiniteCount]).toEqual([alone.tokenCount, alone.infiniteCount]);
      expect(result.lossBase2).toBeCloseTo(alone.lossBase2, 10);
    }
    expect(lm).toEqual(await evaluate(fakeModel(), plan));
    const finite = results.filter(({ infiniteCount }) => infiniteCount === 0);
    expect(best.lossBase2).toBe(Math.min(...finite.map(({ lossBase2 }) => lossBase2)));
  });

  it('fits lambdas that are better than those of the grid, and have the perplexity that it says', async () => {
    const fits = await tune(fakeModel(), plan, retriever, grid, { fit: true, memoryBytes: 0 });
    const { fitted, adaptive, results } = fits;
    if (fitted === undefined || adaptive === undefined) throw new Error('nothing was fitted');
    expect(fitted.results).toHaveLength(9);
    for (const { k, temperature, lossBase2 } of fitted.results) {
      const same = results.filter((result) => result.k === k && result.temperature === temperature);
      for (const result of same.filter(({ infiniteCount }) => infiniteCount === 0)) {
        expect(lossBase2).toBeLessThanOrEqual(result.lossBase2 + 1e-6);
      }
    }
    const mixings = [fitted.best, { ...adaptive.best, lambda: lambdaFunction(adaptive.best.lambda) }];
    const { mixed, lm } = await evaluateEach(fakeModel(), plan, mixings, { retriever });
    expect(mixed[0].lossBase2).toBeCloseTo(fitted.best.lossBase2, 6);
    expect(mixed[1].lossBase2).toBeCloseTo(adaptive.best.lossBase2, 6);
    expect(lm).toEqual(fits.lm);
    expect(fitted.heldOut.tokenCount).toBe(fits.lm.tokenCount);
    expect(fitted.heldOut.lossBase2).toBeGreaterThanOrEqual(fitted.best.lossBase2);
  });

  it.each([
    [{ ...grid, lambdas: [] }, 'EMPTY_GRID'],
    [{ ...grid, ks: [17] }, 'NEIGHBORS_RANGE'],
    [{ ...grid, lambdas: [2] }, 'LAMBDA_RANGE'],
  ])('refuses %j', async (wrong, code) => {
    await expect(tune(fakeModel(), plan, retriever, wrong)).rejects.toMatchObject({ code });
  });
});

describe('evaluate', () => {
  it('refuses a lambda function that gives no weight', async () => {
    const wrong = evaluate(fakeModel(), plan, { retriever, lambda: () => NaN });
    await expect(wrong).rejects.toMatchObject({ code: 'LAMBDA_RANGE' });
  });

  it('shows each batch with its places in the text, its neighbours and p_kNN', async () => {
    const text = datasetOf(sentences);
    const shown: number[] = [];
    await evaluate(fakeModel(), planOf(text, dictionaryOf(40), { contextWindow: 3, addBos: true }), {
      retriever,
      lambda: (nearest) => (nearest < 10 ? 0.5 : 0.1),
      async onBatch(batch, logProbs, knnProbs) {
        await Promise.resolve();
        expect(batch.neighbors?.ids).toHaveLength(batch.tokens.length * 16);
        expect(logProbs).toHaveLength(batch.tokens.length);
        expect(knnProbs).toHaveLength(batch.tokens.length);
        for (const [i, position] of batch.textPositions.entries()) {
          expect(text.readTokens(position, position + 1)[0]).toBe(batch.tokens[i]);
          shown.push(position);
        }
      },
    });
    expect(shown.sort((a, b) => a - b)).toEqual(Array.from({ length: text.tokenCount }, (_, i) => i));
  });
});
