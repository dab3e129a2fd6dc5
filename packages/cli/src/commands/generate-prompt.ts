import { readFileSync } from 'node:fs';
import type { Dictionary, TokenDecoder, TokenMap } from '@knn-lm/binarizer';

/** Ids of the special symbols that begin and end lines (fairseq/data/dictionary.py). */
const bos = 0;
const eos = 2;
const unk = 3;

/** A prompt as the model reads it. */
export interface Prompt {
  /** The text, without white space at its ends. */
  readonly text: string;
  /** Token ids: `</s>` (or `<s>`), then those of the text. */
  readonly tokens: Int32Array;
  /** Words that the dictionary does not have, each once, in their order. */
  readonly unknownWords: readonly string[];
}

/** The text of `--prompt`; `-` reads standard input to its end. */
export function promptText(given: string): string {
  return (given === '-' ? readFileSync(0, 'utf8') : given).trim();
}

/**
 * Tokenizes a prompt as the data was: words between white space, and `</s>` at the end of each line but the last, which
 * goes on.
 *
 * @param text - one or more lines; may be empty, for a text of its own
 * @param dictionary - of the data
 * @param addBos - whether the model's texts begin with `<s>`
 */
export function encodePrompt(text: string, dictionary: Dictionary, addBos: boolean): Prompt {
  const lines = text === '' ? [] : text.split('\n').map((line) => dictionary.encodeLine(line));
  const tokens = lines.flatMap((line) => [...line]).slice(0, text === '' ? undefined : -1);
  const words = text.split(/\s+/).filter((word) => word !== '');
  const isUnknown = (word: string) => dictionary.index(word) === unk && word !== dictionary.symbol(unk);
  return {
    text,
    tokens: Int32Array.of(addBos ? bos : eos, ...tokens),
    unknownWords: [...new Set(words.filter(isUnknown))],
  };
}

/**
 * Encodes a prompt for data that were made with the model's tokenizer.
 *
 * @param text - the prompt
 * @param tokenizer - of the data
 * @param map - says which special symbols the model has
 */
export function encodeForModel(text: string, tokenizer: TokenDecoder, { modelIds }: TokenMap): Prompt {
  const first = [eos, bos].filter((id) => modelIds[id] >= 0).slice(0, 1);
  return { text, tokens: Int32Array.of(...first, ...tokenizer.encode(text)), unknownWords: [] };
}
