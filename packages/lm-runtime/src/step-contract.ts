import { cacheShape, stepCacheNames, type LmArchitecture } from '@knn-lm/checkpoint';
import type { CacheLayout, RunRequest, RunResponse, TensorData, TensorMessage } from './messages.js';

/** What a step of generation gives. */
export interface StepResult {
  /** Hidden state of the captured module at the last token, `[keyDimension]`. */
  readonly hidden: Float32Array;
  /** Natural log-probability of each token that may come next, `[vocabSize]`. */
  readonly logProbs: Float32Array;
}

/** What a graph is fed for a step, and how its outputs are understood. */
export interface StepContract {
  /**
   * @param tokens - `[S]` ids of the model; with a cache the tokens of the step, without one all of them
   * @param length - tokens before them
   */
  request(tokens: Int32Array<ArrayBuffer>, length: number): RunRequest;
  /** The outputs of a step. */
  result(response: RunResponse): StepResult;
}

/** One row of tokens. */
export const oneRow = (data: TensorData): TensorMessage => ({ data, shape: [1, data.length] });

/** The contract of the step graph of fairseq models (README of `@knn-lm/checkpoint`). */
export const fairseqStepContract: StepContract = {
  request: (tokens, length) => ({
    feeds: {
      tokens: oneRow(tokens),
      total: { data: Int32Array.of(length + tokens.length), shape: [] },
    },
    fetches: { hidden: undefined, log_probs: undefined },
  }),
  result: (response) => ({
    hidden: response['hidden'].data as Float32Array,
    logProbs: response['log_probs'].data as Float32Array,
  }),
};

/** What the step graph of a fairseq model keeps. */
export function fairseqCache(architecture: LmArchitecture): CacheLayout {
  const { heads, headWidth } = cacheShape(architecture);
  const empty = { data: new Float32Array(), shape: [1, heads, 0, headWidth] };
  return {
    kind: 'append',
    slots: stepCacheNames(architecture.layers).map(({ past, added }) => ({
      input: past,
      output: added,
      empty,
    })),
  };
}
