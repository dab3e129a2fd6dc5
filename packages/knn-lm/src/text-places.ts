import type { TokenDataset } from '@knn-lm/binarizer';
import { KnnError } from './errors.js';

/** A token's place in a text. */
export interface TextPlace {
  /** Number of the sentence (line), from 0. */
  readonly sentence: number;
  /** Which token of it, from 0. */
  readonly token: number;
  /** Which token of the whole text, from 0. */
  readonly position: number;
}

/** Tokens of a text that follow each other. */
export interface TokenRange {
  /** The first, counted over the whole text. */
  readonly start: number;
  /** One behind the last. */
  readonly end: number;
}

/** Finds tokens of a text by sentence, and sentences by token. Memory: 8 bytes a sentence. */
export class TextPlaces {
  readonly #starts: Float64Array;

  /**
   * Adds the sizes up.
   *
   * @param text - the text, of which only the sizes of the sentences are read
   */
  constructor(text: Pick<TokenDataset, 'sizes'>) {
    const { sizes } = text;
    this.#starts = new Float64Array(sizes.length + 1);
    for (let i = 0; i < sizes.length; i++) this.#starts[i + 1] = this.#starts[i] + sizes[i];
  }

  /**
   * The place of a token.
   *
   * @param position - which token of the whole text
   * @throws {@link KnnError} `TEXT_POSITION`
   */
  at(position: number): TextPlace {
    const end = this.#starts[this.#starts.length - 1];
    if (!(Number.isInteger(position) && position >= 0 && position < end)) {
      throw new KnnError('TEXT_POSITION', `there is no token ${position}: the text has ${end}`, {
        hint: `Give a number from 0 to ${end - 1}.`,
        details: { found: position, expected: end },
      });
    }
    const sentence = lastAtMost(this.#starts, position);
    return { sentence, token: position - this.#starts[sentence], position };
  }

  /**
   * The place of a token of a sentence.
   *
   * @param sentence - which sentence
   * @param token - which token of it
   * @throws {@link KnnError} `TEXT_POSITION`
   */
  of(sentence: number, token: number): TextPlace {
    const { start, end } = this.range(sentence);
    if (!(Number.isInteger(token) && token >= 0 && token < end - start)) {
      throw new KnnError(
        'TEXT_POSITION',
        `sentence ${sentence} has ${end - start} tokens, but no token ${token}`,
        {
          hint: 'Tokens of a sentence are counted from 0; the last one is </s>.',
          details: { found: token, expected: end - start },
        },
      );
    }
    return { sentence, token, position: start + token };
  }

  /**
   * The tokens of a sentence.
   *
   * @param sentence - which sentence
   * @returns the first token, and one behind the last
   * @throws {@link KnnError} `TEXT_POSITION`
   */
  range(sentence: number): TokenRange {
    const count = this.#starts.length - 1;
    if (!(Number.isInteger(sentence) && sentence >= 0 && sentence < count)) {
      throw new KnnError('TEXT_POSITION', `there is no sentence ${sentence}: the text has ${count}`, {
        hint: `Give a number from 0 to ${count - 1}.`,
        details: { found: sentence, expected: count },
      });
    }
    return { start: this.#starts[sentence], end: this.#starts[sentence + 1] };
  }
}

/** Index of the last value that is at most `value`, of an ascending array; of equal ones the last; -1 if there is none. */
export function lastAtMost(values: Float64Array, value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
