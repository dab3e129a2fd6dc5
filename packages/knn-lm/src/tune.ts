import type { LmBatchPlan } from '@knn-lm/binarizer';
import type { LanguageModel } from '@knn-lm/lm-runtime';
import { KnnError } from './errors.js';
import { LossSum, type Evaluation, type Interpolation } from './evaluate.js';
import { checkSettings, interpolate, knnProbability } from './probability.js';
import { scoreTokens, type ScoreOptions } from './score.js';
import type { Retriever } from './retriever.js';

/** The settings to try; every combination is evaluated. */
export interface TuneGrid {
  /** Weights of the neighbours, 0 to 1. */
  readonly lambdas: readonly number[];
  /** Divisors of the squared distances. */
  readonly temperatures: readonly number[];
  /** Numbers of neighbours, none above the retriever's k; only the retriever's k when left out. */
  readonly ks?: readonly number[] | undefined;
}

/** One combination of settings and its result. */
export interface TuneResult extends Interpolation, Evaluation {
  /** Neighbours that counted. */
  readonly k: number;
}

/** What {@link tune} found. */
export interface TuneOutcome {
  /** The combination with the lowest loss. */
  readonly best: TuneResult;
  /** All combinations: k slowest, then temperature, then lambda. */
  readonly results: readonly TuneResult[];
  /** The language model alone, on the same tokens. */
  readonly lm: Evaluation;
}

/**
 * Evaluates every combination of k, lambda and temperature in one pass: the model runs and the index is searched once,
 * with the largest k, and each combination is computed exactly from the same distances and values.
 *
 * Memory does not grow with the text: only sums are kept.
 *
 * @param model - opened for `score`
 * @param plan - the batches of the validation text
 * @param retriever - with the largest k
 * @param grid - the settings to try
 * @param options - how to watch and stop the work
 * @throws {@link KnnError} for settings out of range, an empty grid (`EMPTY_GRID`) or an empty text (`NOTHING_TO_SCORE`)
 */
export async function tune(
  model: LanguageModel,
  plan: LmBatchPlan,
  retriever: Retriever,
  grid: TuneGrid,
  options: Omit<ScoreOptions, 'retriever'> = {},
): Promise<TuneOutcome> {
  const cells = gridCells(grid, retriever.k);
  const lmLoss = new LossSum();
  for await (const batch of scoreTokens(model, plan, { ...options, retriever })) {
    const { tokens, lmLogProbs, neighbors } = batch;
    if (neighbors === undefined) throw new TypeError('a retriever gives neighbours');
    for (let i = 0; i < tokens.length; i++) {
      lmLoss.add(lmLogProbs[i]);
      for (const { k, temperature, losses } of cells) {
        const knn = knnProbability(neighbors, i, tokens[i], temperature, k);
        for (const { lambda, loss } of losses) loss.add(interpolate(lmLogProbs[i], knn, lambda));
      }
    }
  }
  const lm = lmLoss.result();
  if (lm.tokenCount === 0) {
    throw new KnnError('NOTHING_TO_SCORE', 'the text has no token that can be scored', {
      hint: 'Choose settings on a longer text.',
    });
  }
  const results = cells.flatMap(({ k, temperature, losses }) =>
    losses.map(({ lambda, loss }): TuneResult => ({ k, temperature, lambda, ...loss.result() })),
  );
  return { best: lowestLoss(results), results, lm };
}

interface GridCell {
  readonly k: number;
  readonly temperature: number;
  readonly losses: readonly { readonly lambda: number; readonly loss: LossSum }[];
}

function gridCells(grid: TuneGrid, largestK: number): GridCell[] {
  const { lambdas, temperatures, ks = [largestK] } = grid;
  if (lambdas.length === 0 || temperatures.length === 0 || ks.length === 0) {
    throw new KnnError('EMPTY_GRID', 'there is no combination of settings to try', {
      hint: 'Give at least one lambda, one temperature and one k.',
    });
  }
  for (const k of ks) {
    for (const lambda of lambdas) {
      for (const temperature of temperatures) checkSettings({ k, lambda, temperature });
    }
    if (k > largestK) {
      throw new KnnError(
        'NEIGHBORS_RANGE',
        `k = ${k} is to be tried, but only ${largestK} neighbours are searched`,
        {
          hint: 'Search with the largest k.',
          details: { k, largestK },
        },
      );
    }
  }
  return ks.flatMap((k) =>
    temperatures.map((temperature) => ({
      k,
      temperature,
      losses: lambdas.map((lambda) => ({ lambda, loss: new LossSum() })),
    })),
  );
}

/** More tokens of probability 0 are worse than any loss: they are left out of it. */
function lowestLoss(results: readonly TuneResult[]): TuneResult {
  return results.reduce((best, result) =>
    result.infiniteCount < best.infiniteCount ||
    (result.infiniteCount === best.infiniteCount && result.lossBase2 < best.lossBase2)
      ? result
      : best,
  );
}
