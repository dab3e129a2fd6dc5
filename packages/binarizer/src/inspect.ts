import type { Dictionary } from './dictionary.js';
import { sentenceOutOfRange } from './indexed-dataset.js';
import { openDataset, type OpenDatasetOptions } from './open-dataset.js';
import type { TokenDataset } from './token-dataset.js';

/** A sentence that a person can read. */
export interface InspectedSentence {
  /** Its number in the dataset, from 0. */
  readonly sentence: number;
  /** Its ids, `</s>` included. */
  readonly ids: Int32Array;
  /** Its words: the symbol of each id; `<unk>` for an id that the dictionary does not have. */
  readonly words: readonly string[];
}

/**
 * Gives sentences as words, one at a time.
 *
 * @param dataset - the sentences
 * @param dictionary - the symbols
 * @param range - the first sentence, and the one after the last
 * @throws BinarizerError `SENTENCE_OUT_OF_RANGE` when a bound is no sentence of the dataset; `TOKEN_OUT_OF_RANGE`
 *
 * @example
 * ```ts
 * const { dataset, dictionary } = await openDataBin('data-bin', 'test');
 * for (const { sentence, words } of inspectSentences(dataset, dictionary, { start: 10, end: 20 })) {
 *   console.log(sentence, words.join(' '));
 * }
 * ```
 */
export function* inspectSentences(
  dataset: TokenDataset,
  dictionary: Dictionary,
  { start = 0, end = dataset.length }: { readonly start?: number; readonly end?: number } = {},
): Generator<InspectedSentence> {
  for (const bound of [start, end]) {
    if (!(Number.isInteger(bound) && bound >= 0 && bound <= dataset.length)) {
      throw sentenceOutOfRange(dataset, bound);
    }
  }
  for (let sentence = start; sentence < end; sentence++) {
    const ids = dataset.sentence(sentence);
    yield { sentence, ids, words: Array.from(ids, (id) => dictionary.symbol(id)) };
  }
}

/**
 * Counts the tokens of one split, `</s>` of each sentence included; reads its index only (of `raw` the text).
 *
 * @param prefix - `data-bin/train`
 * @param options - as for `openDataset`
 * @throws BinarizerError as `openDataset`
 *
 * @example
 * ```ts
 * console.log(await countTokens('data-bin/train'));
 * ```
 */
export async function countTokens(prefix: string, options: OpenDatasetOptions = {}): Promise<number> {
  const dataset = await openDataset(prefix, options);
  dataset.close();
  return dataset.tokenCount;
}
