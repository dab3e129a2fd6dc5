import type { LmBatchPlan } from '@knn-lm/binarizer';
import type { LanguageModel } from '@knn-lm/lm-runtime';
import { KnnError } from './errors.js';
import { checkSettings, interpolate, knnProbability } from './probability.js';
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
    const lossBase2 = -this.#logProbSum / this.#tokenCount / Math.LN2;
    return {
      tokenCount: this.#tokenCount,
      infiniteCount: this.#infiniteCount,
      logProbSum: this.#logProbSum,
      lossBase2,
      perplexity: 2 ** lossBase2,
    };
  }
}

/** How neighbours and model are mixed. */
export interface Interpolation {
  /** Weight of the neighbours, 0 to 1. */
  readonly lambda: number;
  /** Divides the squared distances; 1 in the papers. */
  readonly temperature: number;
}

/** Settings of {@link evaluate}. */
export interface EvaluateOptions extends ScoreOptions, Partial<Interpolation> {
  /** Sees every batch with its final natural log-probabilities `[tokens]`, in evaluation order. */
  readonly onBatch?: ((batch: ScoredBatch, logProbs: Float64Array) => void) | undefined;
}

/**
 * Perplexity of a text under the language model or, with `options.retriever`, under the kNN-LM.
 *
 * @param model - opened for `score`
 * @param plan - the batches of the text
 * @param options - retriever, lambda (default 0.25), temperature (default 1), and who watches
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
  const { retriever, lambda = 0.25, temperature = 1, onBatch } = options;
  checkSettings({ k: retriever?.k ?? 1, lambda, temperature });
  const loss = new LossSum();
  for await (const batch of scoreTokens(model, plan, options)) {
    const logProbs = mixedLogProbs(batch, { lambda, temperature });
    for (const logProb of logProbs) loss.add(logProb);
    onBatch?.(batch, logProbs);
  }
  const result = loss.result();
  if (result.tokenCount === 0) {
    throw new KnnError('NOTHING_TO_SCORE', 'the text has no token that can be scored', {
      hint: 'Check the split, and that its blocks are not longer than the model takes.',
    });
  }
  return result;
}

/**
 * Natural log-probability of each token of a batch: the model's, or the mixture where neighbours were searched.
 *
 * @param batch - scored tokens
 * @param interpolation - lambda and temperature
 * @returns `[tokens]`
 */
export function mixedLogProbs(batch: ScoredBatch, interpolation: Interpolation): Float64Array {
  const { tokens, lmLogProbs, neighbors } = batch;
  const { lambda, temperature } = interpolation;
  const logProbs = Float64Array.from(lmLogProbs);
  if (neighbors === undefined) return logProbs;
  for (let i = 0; i < tokens.length; i++) {
    logProbs[i] = interpolate(logProbs[i], knnProbability(neighbors, i, tokens[i], temperature), lambda);
  }
  return logProbs;
}
