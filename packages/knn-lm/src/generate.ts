import { Pcg64, throwIfAborted, type TaskOptions } from '@knn-lm/common';
import type { Generation, GenerationModel } from '@knn-lm/lm-runtime';
import { KnnError } from './errors.js';
import { checkMixing } from './evaluate.js';
import { mixNextToken, type NextToken } from './generate-mixture.js';
import {
  checkSampling,
  drawableTokens,
  drawCoupled,
  type CoupledDraw,
  type Sampling,
} from './generate-sampling.js';
import type { Mixing } from './mixture.js';
import type { RetrievedNeighbors } from './probability.js';
import type { Retriever } from './retriever.js';

/** Settings of {@link generate}. */
export interface GenerateOptions extends Partial<Mixing>, Pick<TaskOptions, 'signal'> {
  /** Looks up neighbours, once for each token; without it the model alone goes on. */
  readonly retriever?: Retriever | undefined;
  /**
   * Tokens at most.
   * @defaultValue 200
   */
  readonly maxTokens?: number | undefined;
  /** Draws tokens at random; without it the likeliest token is taken each time. */
  readonly sampling?: Sampling | undefined;
  /**
   * Tokens after which the text ends.
   * @defaultValue none: the text ends after `maxTokens`
   */
  readonly stopTokens?: readonly number[] | undefined;
  /** Tokens that are never chosen; padding never is. */
  readonly excludedTokens?: readonly number[] | undefined;
}

/** One token of a continuation. */
export interface GeneratedToken {
  /** Its id. */
  readonly token: number;
  /** Natural logarithm of its probability in the mixture, as an evaluation would give it. */
  readonly logProb: number;
  /** Natural logarithm of the model's probability of it. */
  readonly lmLogProb: number;
  /** p_kNN of it; 0 where nothing was searched. */
  readonly knnProb: number;
  /** Weight of the neighbours in the mixture. */
  readonly lambda: number;
  /** The neighbours of the context; `undefined` where nothing was searched. */
  readonly neighbors: RetrievedNeighbors | undefined;
  /** What would have been taken here from the model's own distribution, with the same random numbers. */
  readonly lmToken: number;
  /** The neighbours made the difference: `token` is not `lmToken`. */
  readonly decidedByNeighbors: boolean;
}

/**
 * Continues a text with the kNN-LM: each token is taken from lambda * p_kNN + (1 - lambda) * p_LM, and read by the model
 * before the next one. Without a retriever, or with lambda 0, it is the model alone (and with 0 nothing is searched).
 *
 * A token is `decidedByNeighbors` where the model alone would have gone on otherwise: greedily, where its likeliest token
 * is another one; when sampling, where the same random numbers give another token of its distribution (with the same
 * temperature, top-k and top-p). The draws are coupled so that this happens as rarely as the distributions allow, which
 * is with their total variation distance as probability.
 *
 * @param model - opened with the module that the datastore's keys were captured from
 * @param prompt - `[n]` token ids; a text of its own begins with `</s>`, or `<s>` where `model.info.addBosToken` says so
 * @param options - retriever, mixing (lambda 0.25, temperature 1), sampling, when to stop
 * @throws {@link KnnError} for settings out of range, `NOTHING_TO_CHOOSE` where all tokens are excluded
 * @throws CancelledError when the signal has fired
 *
 * @example
 * ```ts
 * const prompt = Int32Array.of(2, dictionary.index('The'), dictionary.index('American'));
 * for await (const { token } of generate(model, prompt, { retriever, lambda: 0.25, maxTokens: 30 })) {
 *   console.log(dictionary.symbol(token));
 * }
 * ```
 */
export async function* generate(
  model: GenerationModel,
  prompt: Int32Array,
  options: GenerateOptions = {},
): AsyncGenerator<GeneratedToken, void, undefined> {
  const { signal, maxTokens = 200, sampling, stopTokens = [] } = options;
  const { retriever, lambda = 0.25, temperature = 1, k } = options;
  checkMixing({ k, lambda, temperature }, retriever?.k);
  if (sampling !== undefined) checkSampling(sampling);
  if (!Number.isInteger(maxTokens) || maxTokens < 0) {
    throw new KnnError('MAX_TOKENS', `the number of tokens is ${maxTokens}; it must be a whole number`);
  }
  const excluded = [model.info.padIndex, ...(options.excludedTokens ?? [])];
  const random = sampling && new Pcg64(sampling.seed);
  const searches = lambda !== 0 ? retriever : undefined;
  if (maxTokens === 0) return;
  const generation = await model.start(prompt, { signal });
  try {
    for (let count = 1; ; count++) {
      throwIfAborted(signal, 'stopped between two tokens');
      const neighbors = await searches?.retrieve(generation.hidden);
      const next = mixNextToken(generation.logProbs, neighbors, { lambda, temperature, k });
      const choice = choose(next, generation, { excluded, sampling, random });
      yield describeToken(choice, next, generation, neighbors);
      if (count === maxTokens || stopTokens.includes(choice.token)) return;
      await generation.advance(choice.token);
    }
  } finally {
    generation.close();
  }
}

function choose(
  { logProbs }: NextToken,
  generation: Generation,
  {
    excluded,
    sampling,
    random,
  }: { excluded: readonly number[]; sampling?: Sampling | undefined; random?: Pcg64 | undefined },
): CoupledDraw {
  const mixed = withoutTokens(logProbs, excluded);
  const alone = withoutTokens(generation.logProbs, excluded);
  if (sampling === undefined || random === undefined) {
    return { token: likeliestToken(mixed), reference: likeliestToken(alone) };
  }
  return drawCoupled(drawableTokens(mixed, sampling), drawableTokens(alone, sampling), random);
}

function describeToken(
  { token, reference }: CoupledDraw,
  { logProbs, knnProbs, lambda }: NextToken,
  generation: Generation,
  neighbors: RetrievedNeighbors | undefined,
): GeneratedToken {
  return {
    token,
    logProb: logProbs[token],
    lmLogProb: generation.logProbs[token],
    knnProb: knnProbs.get(token) ?? 0,
    ...{ lambda, neighbors },
    lmToken: reference,
    decidedByNeighbors: token !== reference,
  };
}

function withoutTokens(logProbs: ArrayLike<number>, excluded: readonly number[]): Float64Array {
  const copy = Float64Array.from(logProbs);
  for (const token of excluded) if (token >= 0 && token < copy.length) copy[token] = -Infinity;
  if (copy.some((logProb) => logProb > -Infinity)) return copy;
  throw new KnnError('NOTHING_TO_CHOOSE', 'no token is left that may come next', {
    hint: 'Exclude fewer tokens.',
  });
}

/** Of equally likely tokens the first. */
function likeliestToken(logProbs: Float64Array): number {
  let best = 0;
  for (let token = 1; token < logProbs.length; token++) if (logProbs[token] > logProbs[best]) best = token;
  return best;
}
