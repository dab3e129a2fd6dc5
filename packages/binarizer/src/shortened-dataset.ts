import { checkTokenRange, sentenceOutOfRange } from './indexed-dataset.js';
import { NumpyRandomState, numpySeedOf } from './numpy-random.js';
import { fingerprintOf, sentenceStarts, type TokenDataset } from './token-dataset.js';

/** What happens to sentences that are longer than a sample (`--shorten-method`). */
export type ShortenMethod = 'none' | 'truncate' | 'random_crop';

/** All methods. */
export const shortenMethods: readonly ShortenMethod[] = ['none', 'truncate', 'random_crop'];

/**
 * A dataset whose long sentences are cut (`fairseq/data/shorten_dataset.py`): to their first tokens, or to tokens from a
 * random place, which depends on the seed and the sentence's number alone.
 */
export class ShortenedDataset implements TokenDataset {
  readonly path: string;
  readonly length: number;
  readonly sizes: Int32Array;
  readonly tokenCount: number;
  readonly #whole: TokenDataset;
  readonly #wholeStarts: Float64Array;
  readonly #starts: Float64Array;
  readonly #seed: number | undefined;

  /**
   * @param whole - the dataset
   * @param longest - tokens that are left of a sentence at most
   * @param seed - for random places; `undefined` keeps the first tokens
   */
  constructor(whole: TokenDataset, longest: number, seed: number | undefined) {
    this.#whole = whole;
    this.#seed = seed;
    this.path = whole.path;
    this.length = whole.length;
    this.sizes = whole.sizes.map((size) => Math.min(size, longest));
    this.#wholeStarts = sentenceStarts(whole.sizes);
    this.#starts = sentenceStarts(this.sizes);
    this.tokenCount = this.#starts[this.length];
  }

  get fingerprint(): string {
    return fingerprintOf(this);
  }

  sentence(i: number): Int32Array {
    if (!(Number.isInteger(i) && i >= 0 && i < this.length)) throw sentenceOutOfRange(this, i);
    const start = this.#wholeStarts[i] + this.#cropStart(i);
    return this.#whole.readTokens(start, start + this.sizes[i]);
  }

  readTokens(start: number, end: number): Int32Array {
    checkTokenRange(this, start, end);
    const tokens = new Int32Array(end - start);
    let sentence = this.#sentenceOf(start);
    for (let token = start; token < end; sentence++) {
      const first = token - this.#starts[sentence];
      const part = this.sentence(sentence).subarray(first, first + end - token);
      tokens.set(part, token - start);
      token += part.length;
    }
    return tokens;
  }

  close(): void {
    this.#whole.close();
  }

  #cropStart(sentence: number): number {
    const excess = this.#whole.sizes[sentence] - this.sizes[sentence];
    if (this.#seed === undefined || excess === 0) return 0;
    // Fairseq's dataset stays at epoch 0 during evaluation.
    return new NumpyRandomState(numpySeedOf([this.#seed, 0, sentence])).interval(excess - 1);
  }

  /** The sentence that holds a token (or begins at it). */
  #sentenceOf(token: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle + 1] <= token) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
