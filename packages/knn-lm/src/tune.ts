import type { LmBatchPlan } from '@knn-lm/binarizer';
import type { LanguageModel } from '@knn-lm/lm-runtime';
import type { AdaptiveLambda } from './adaptive-lambda.js';
import { KnnError } from './errors.js';
import {
  LossSum,
  nothingToScore,
  tooManyNeighbors,
  type Evaluation,
  type Interpolation,
} from './evaluate.js';
import type { FloatColumnsOptions } from './float-columns.js';
import { checkSettings } from './probability.js';
import { scoreTokens, type ScoreOptions } from './score.js';
import type { Retriever } from './retriever.js';
import { constantLambda, steppedLambda, type Fits } from './tune-fits.js';
import { lowestLoss, TuneStatistics, type GridAxes } from './tune-statistics.js';

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

/** Settings of {@link tune}. */
export interface TuneOptions extends Omit<ScoreOptions, 'retriever'>, FloatColumnsOptions {
  /**
   * Fits lambdas too, beside those of the grid.
   *
   * @defaultValue false
   */
  readonly fit?: boolean | undefined;
  /**
   * Steps at the most of the adaptive lambda.
   *
   * @defaultValue 16
   */
  readonly adaptiveSteps?: number | undefined;
}

/** What {@link tune} found. */
export interface TuneOutcome {
  /** The combination with the lowest loss. */
  readonly best: TuneResult;
  /** All combinations: k slowest, then temperature, then lambda. */
  readonly results: readonly TuneResult[];
  /** The language model alone, on the same tokens. */
  readonly lm: Evaluation;
  /** For each k and temperature the lambda of largest likelihood, by expectation maximisation; with `fit`. */
  readonly fitted?: Fits<number> | undefined;
  /** For each k and temperature a lambda that depends on the nearest neighbour's distance; with `fit`. */
  readonly adaptive?: Fits<AdaptiveLambda> | undefined;
}

/**
 * Evaluates every combination of k, lambda and temperature in one pass: the model runs and the index is searched once,
 * with the largest k, and each combination is computed exactly from the same distances and values. With `fit`, lambda is
 * also fitted for each k and temperature: one for all tokens, and one for each range of the nearest neighbour's distance.
 *
 * Memory: without `fit` it does not grow with the text, for only sums are kept. With it, 4 bytes for each token and
 * distribution (k times temperature, and some) are kept in memory up to `memoryBytes`, and in a temporary file beyond
 * that; fitting takes 50 bytes a token.
 *
 * @param model - opened for `score`
 * @param plan - the batches of the validation text
 * @param retriever - with the largest k
 * @param grid - the settings to try
 * @param options - what to fit, where to put it, and how to watch and stop the work
 * @throws {@link KnnError} for settings out of range, an empty grid (`EMPTY_GRID`) or an empty text (`NOTHING_TO_SCORE`)
 *
 * @example
 * ```ts
 * const grid = { lambdas: [0.1, 0.25, 0.5], temperatures: [1, 10, 100], ks: [64, 1024] };
 * const { best, adaptive } = await tune(model, plan, retriever, grid, { fit: true });
 * console.log(best.perplexity, adaptive?.best.perplexity);
 * ```
 */
export async function tune(
  model: LanguageModel,
  plan: LmBatchPlan,
  retriever: Retriever,
  grid: TuneGrid,
  options: TuneOptions = {},
): Promise<TuneOutcome> {
  const { fit = false, adaptiveSteps, memoryBytes, scratchFolder, ...scoring } = options;
  const statistics = new TuneStatistics(
    checkedAxes(grid, retriever.k),
    fit ? { memoryBytes, scratchFolder } : undefined,
  );
  try {
    const lmLoss = new LossSum();
    for await (const batch of scoreTokens(model, plan, { ...scoring, retriever })) {
      for (const logProb of batch.lmLogProbs) lmLoss.add(logProb);
      await statistics.add(batch);
    }
    const lm = lmLoss.result();
    if (lm.tokenCount === 0) throw nothingToScore();
    const results = statistics.results();
    const outcome = { best: lowestLoss(results), results, lm };
    if (!fit) return outcome;
    const fitted = await statistics.fit(constantLambda, scoring);
    return { ...outcome, fitted, adaptive: await statistics.fit(steppedLambda(adaptiveSteps), scoring) };
  } finally {
    await statistics.close();
  }
}

function checkedAxes(grid: TuneGrid, largestK: number): GridAxes {
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
    if (k > largestK) throw tooManyNeighbors(k, largestK);
  }
  return { lambdas, temperatures, ks };
}
