import type { LmBatchPlan } from '@knn-lm/binarizer';
import type { LanguageModel } from '@knn-lm/lm-runtime';
import { KnnError } from './errors.js';
import { mixBatch, type Mixing } from './mixture.js';
import type { Retriever } from './retriever.js';
import { checkSettings } from './probability.js';
import { scoreTokens, type ScoreOptions, type ScoredBatch } from './score.js';

/** The result of an evaluation, with fairseq's arithmetic: natural logarithms summed, the loss in bits. */
export interface Evaluation {
  /** Tokens that count. */
  readonly tokenCount: number;
  /** Tokens left out because their probability is 0 (log-probability minus infinity), as in fairseq. */
  readonly infiniteCount: number;
  /** Sum of the natural logarithms. */
  readonly logProbSum: number;
  /** `-logProbSum / tokenCount / ln 2`. */
  readonly lossBase2: number;
  /** `2 ** lossBase2`. */
  readonly perplexity: number;
}

/** Adds up log-probabilities in double precision. */
export class LossSum {
  #tokenCount = 0;
  #infiniteCount = 0;
  #logProbSum = 0;

  /** Counts one token; minus infinity is counted apart. `tokens` is 0 for a piece of a word that is scored with its last. */
  add(logProb: number, tokens = 1): void {
    if (Number.isFinite(logProb)) {
      this.#logProbSum += logProb;
      this.#tokenCount += tokens;
    } else this.#infiniteCount++;
  }

  /** The loss of what was added so far; NaN where nothing was. */
  result(): Evaluation {
    const [tokenCount, infiniteCount, logProbSum] = [this.#tokenCount, this.#infiniteCount, this.#logProbSum];
    return evaluationOf({ tokenCount, infiniteCount, logProbSum });
  }
}

/** Completes counts and a sum of logarithms to an evaluation. */
export function evaluationOf(
  sums: Pick<Evaluation, 'tokenCount' | 'infiniteCount' | 'logProbSum'>,
): Evaluation {
  const { tokenCount, infiniteCount, logProbSum } = sums;
  const lossBase2 = -logProbSum / tokenCount / Math.LN2;
  return { tokenCount, infiniteCount, logProbSum, lossBase2, perplexity: 2 ** lossBase2 };
}

/** How neighbours and model are mixed. */
export interface Interpolation {
  /** Weight of the neighbours, 0 to 1. */
  readonly lambda: number;
  /** Divides the squared distances; 1 in the papers. */
  readonly temperature: number;
}

/**
 * Sees one batch of an evaluation: what was scored, retrieved and mixed. The arrays are those of the evaluation, without
 * copies; it does not touch them after the call (or the promise), so that they may be kept or changed.
 *
 * @param batch - tokens, where they are in the text, the model's log-probabilities, and the neighbours
 * @param logProbs - `[tokens]` final natural log-probabilities: of the mixture where there are neighbours
 * @param knnProbs - `[tokens]` p_kNN of each token; `undefined` without neighbours
 */
export type BatchListener = (
  batch: ScoredBatch,
  logProbs: Float64Array,
  knnProbs: Float64Array | undefined,
) => void | Promise<void>;

/** Settings of {@link evaluate}. */
export interface EvaluateOptions extends ScoreOptions, Partial<Mixing> {
  /** Sees every batch, in evaluation order; a promise is waited for before the next batch. */
  readonly onBatch?: BatchListener | undefined;
}

/**
 * Perplexity of a text under the language model or, with `options.retriever`, under the kNN-LM.
 *
 * @param model - opened for `score`
 * @param plan - the batches of the text
 * @param options - retriever, lambda (default 0.25), temperature (default 1), k (default: all), and who watches
 * @throws {@link KnnError} for settings out of range, and `NOTHING_TO_SCORE` for a text without tokens
 *
 * @example
 * ```ts
 * const { dictionary, dataset } = await openDataBin('data-bin', 'test');
 * const model = await LanguageModel.open('model.pt', { purpose: 'score' });
 * const plan = planLmBatches(dataset, dictionary, { breakMode: 'none', tokensPerSample: 256, contextWindow: 128 });
 * const { perplexity } = await evaluate(model, plan);
 * ```
 */
export async function evaluate(
  model: LanguageModel,
  plan: LmBatchPlan,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { retriever, lambda = 0.25, temperature = 1, k, onBatch } = options;
  checkMixing({ lambda, temperature, k }, retriever?.k);
  const loss = new LossSum();
  for await (const batch of scoreTokens(model, plan, options)) {
    const { logProbs, knnProbs } = mixBatch(batch, { lambda, temperature, k });
    for (const logProb of logProbs) loss.add(logProb);
    await onBatch?.(batch, logProbs, knnProbs);
  }
  const result = loss.result();
  if (result.tokenCount === 0) throw nothingToScore();
  return result;
}

/** What {@link evaluateEach} gives. */
export interface EachEvaluation {
  /** The language model alone. */
  readonly lm: Evaluation;
  /** One for each of the settings. */
  readonly mixed: readonly Evaluation[];
}

/**
 * Perplexities of a text under several settings, in one pass: the model runs and the index is searched once.
 *
 * @param model - opened for `score`
 * @param plan - the batches of the text
 * @param mixings - the settings
 * @param options - the retriever, with the largest k; how to watch and stop the work
 * @returns one evaluation for each of the settings, and that of the language model alone
 * @throws {@link KnnError} as {@link evaluate}
 */
export async function evaluateEach(
  model: LanguageModel,
  plan: LmBatchPlan,
  mixings: readonly Mixing[],
  options: ScoreOptions & { readonly retriever: Retriever },
): Promise<EachEvaluation> {
  for (const mixing of mixings) checkMixing(mixing, options.retriever.k);
  const lmLoss = new LossSum();
  const losses = mixings.map(() => new LossSum());
  for await (const batch of scoreTokens(model, plan, options)) {
    for (const logProb of batch.lmLogProbs) lmLoss.add(logProb);
    for (const [i, mixing] of mixings.entries()) {
      for (const logProb of mixBatch(batch, mixing).logProbs) losses[i].add(logProb);
    }
  }
  const lm = lmLoss.result();
  if (lm.tokenCount === 0) throw nothingToScore();
  return { lm, mixed: losses.map((loss) => loss.result()) };
}

/** The error for a text without tokens. */
export function nothingToScore(): KnnError {
  return new KnnError('NOTHING_TO_SCORE', 'the text has no token that can be scored', {
    hint: 'Check the split, and that its blocks are not longer than the model takes.',
  });
}

/**
 * Natural log-probability of each token of a batch: the model's, or the mixture where neighbours were searched.
 *
 * @param batch - scored tokens
 * @param interpolation - lambda and temperature
 * @returns `[tokens]`
 */
export function mixedLogProbs(batch: ScoredBatch, interpolation: Mixing): Float64Array {
  return mixBatch(batch, interpolation).logProbs;
}

/**
 * Checks the settings of a mixture against the neighbours that are searched.
 *
 * @param mixing - the settings
 * @param searched - neighbours of each token that the search gives; `undefined` without a search
 * @throws {@link KnnError} `LAMBDA_RANGE`, `TEMPERATURE_RANGE` or `NEIGHBORS_RANGE`
 */
export function checkMixing(mixing: Mixing, searched?: number): void {
  const { lambda, temperature, k = searched ?? 1 } = mixing;
  // What a function returns is checked when it is called.
  checkSettings({ k, lambda: typeof lambda === 'number' ? lambda : 0, temperature });
  if (searched !== undefined && k > searched) throw tooManyNeighbors(k, searched);
}

/** The error for a k that is larger than what is searched. */
export function tooManyNeighbors(k: number, largestK: number): KnnError {
  return new KnnError(
    'NEIGHBORS_RANGE',
    `k = ${k} is to be tried, but only ${largestK} neighbours are searched`,
    {
      hint: 'Search with the largest k.',
      details: { k, largestK },
    },
  );
}
