import { Dictionary, planLmBatches, type LmBatchPlan, type LmBatchOptions } from '@knn-lm/binarizer';
import type { TokenDataset } from '@knn-lm/binarizer';
import type { LanguageModel } from '@knn-lm/lm-runtime';
import type { Retriever } from '../../src/retriever.js';

/** A text in memory. */
export function datasetOf(sentences: readonly (readonly number[])[]): TokenDataset {
  const flat = Int32Array.from(sentences.flat());
  const sizes = Int32Array.from(sentences, (sentence) => sentence.length);
  return {
    path: 'memory',
    length: sizes.length,
    sizes,
    tokenCount: flat.length,
    fingerprint: `memory ${flat.join(' ')}`,
    sentence: (i) => Int32Array.from(sentences[i]),
    readTokens: (start, end) => flat.slice(start, end),
    close: () => undefined,
  };
}

/** A dictionary of so many symbols, the four special ones included. */
export function dictionaryOf(size: number): Dictionary {
  const lines = Array.from({ length: size - 4 }, (_, i) => `w${i} 1\n`).join('');
  return Dictionary.parse(new TextEncoder().encode(lines), 'dict.txt');
}

/** Batches of a text. */
export function planOf(
  dataset: TokenDataset,
  dictionary: Dictionary,
  options: Partial<LmBatchOptions> = {},
): LmBatchPlan {
  return planLmBatches(dataset, dictionary, {
    breakMode: 'none',
    tokensPerSample: 8,
    contextWindow: 0,
    ...options,
  });
}

/** A number in 0 to 1 that depends on two others. */
function hash(a: number, b: number): number {
  const x = Math.sin(a * 12.9898 + b * 78.233) * 43758.5453;
  return x - Math.floor(x);
}

/** A model whose hidden state is the token before and the token, and whose probabilities follow from them. */
export function fakeModel(): LanguageModel {
  const run = ({
    tokens,
    targets,
    positions,
  }: {
    tokens: Int32Array;
    targets: Int32Array;
    positions: Int32Array;
  }) => {
    const keys = new Float32Array(positions.length * 2);
    for (const [i, at] of positions.entries()) keys.set([tokens[at], targets[at]], i * 2);
    const logProbs = Float32Array.from(positions, (at) =>
      Math.log(0.01 + 0.9 * hash(tokens[at], targets[at])),
    );
    return Promise.resolve({ keys, logProbs });
  };
  const info = { padIndex: 1, threads: 1, keyDimension: 2, keysDtype: 'fp32' };
  return { info, run } as unknown as LanguageModel;
}

/** Neighbours that follow from the hidden state: some of them have the right value. */
export function fakeRetriever(k: number): Retriever {
  const retrieve = (queries: Float32Array) => {
    const count = queries.length / 2;
    const ids = new Float64Array(count * k);
    const distances = new Float32Array(count * k);
    const values = new Int32Array(count * k);
    for (let i = 0; i < count; i++) {
      const [before, token] = queries.subarray(i * 2, i * 2 + 2);
      for (let n = 0; n < k; n++) {
        ids[i * k + n] = (before * 7 + n) % 50;
        distances[i * k + n] = 20 * hash(before, 3) + n + hash(token, n);
        values[i * k + n] = hash(token + n, before) < 0.3 ? token : n % 11;
      }
    }
    return Promise.resolve({ k, ids, distances, values });
  };
  return { k, retrieve } as unknown as Retriever;
}
