import { join } from 'node:path';
import { Dictionary } from './dictionary.js';
import type { TokenizerTask } from './model-encoding.js';
import { ModelTokenizer } from './model-tokenizer.js';
import { readTokenizerOf, tokenMapOf, writeTokenMap } from './token-map.js';
import { symbolsOf } from './token-symbols.js';
import { readTokenizerFile, type TokenizerFile } from './tokenizer-file.js';

/** A tokenizer that is to encode texts, and the dictionary that its data get. */
export interface TokenizerPlan {
  readonly task: TokenizerTask;
  readonly file: TokenizerFile;
  readonly dictionary: Dictionary;
}

/**
 * Reads a tokenizer, and tries it.
 *
 * @throws BinarizerError `TOKENIZER_…`, `OPTION_MISSING`
 * @throws KnnLmError `FILE_…`
 */
export async function planTokenizer(options: TokenizerTask): Promise<TokenizerPlan> {
  const file = await readTokenizerFile(options.path);
  await ModelTokenizer.create(file, tokenMapOf(file, options));
  // Counts would make a dictionary of each text out of what is one vocabulary; ids without a token never occur.
  const symbols = symbolsOf(file.tokens);
  const unused = new Set(symbols.filter((_, id) => file.tokens[id] === undefined));
  const dictionary = Dictionary.fromSymbols(symbols, (symbol) => (unused.has(symbol) ? 0 : 1));
  return { task: { ...options, path: file.path }, file, dictionary };
}

/** Writes what belongs to the data beside the dictionary. @throws KnnLmError `FILE_…` */
export function writeTokenizer(folder: string, { file, task }: TokenizerPlan): Promise<void> {
  return writeTokenMap(folder, file, task);
}

/** Whether the data of a folder were made in the same way, so that more can be added. */
export async function isDataOf({ dictionary, file, task }: TokenizerPlan, folder: string): Promise<boolean> {
  const found = await readTokenizerOf(folder);
  if (
    found === undefined ||
    (await Dictionary.load(join(folder, 'dict.txt'))).fingerprint !== dictionary.fingerprint
  ) {
    return false;
  }
  const { modelIds, keepsNewlines } = tokenMapOf(file, task);
  return keepsNewlines === found.map.keepsNewlines && modelIds.every((id, i) => id === found.map.modelIds[i]);
}

/** Turns ids of data that were made with a tokenizer back into text. */
export interface TokenDecoder {
  /** Whether `</s>` stands at the end of each line; otherwise line ends are characters of the text. */
  readonly endsLines: boolean;
  /** The text of ids; without the `</s>` that ends a line. */
  decode(ids: Int32Array): string;
  /** Ids of a text, with `</s>` between its lines where `endsLines`. */
  encode(text: string): Int32Array;
}

/** Of `</s>`. */
const EOS = 2;

/**
 * Opens what turns ids of a data-bin back into text.
 *
 * @param dataBin - the folder
 * @returns `undefined` for data of words
 * @throws BinarizerError `TOKEN_MAP_DAMAGED`, `TOKENIZER_…`
 * @throws KnnLmError `FILE_…`
 *
 * @example
 * ```ts
 * const { dataset } = await openDataBin('data-bin', 'test');
 * const decoder = await openTokenDecoder('data-bin');
 * console.log(decoder?.decode(dataset.sentence(0)));
 * ```
 */
export async function openTokenDecoder(dataBin: string): Promise<TokenDecoder | undefined> {
  const found = await readTokenizerOf(dataBin);
  if (found === undefined) return undefined;
  const endsLines = !found.map.keepsNewlines;
  const tokenizer = await ModelTokenizer.create(found.file, found.map);
  return {
    endsLines,
    encode(text) {
      const lines = endsLines ? text.split('\n') : [text];
      return Int32Array.from(
        lines.flatMap((line, i) => [...(i === 0 ? [] : [EOS]), ...tokenizer.encode(line)]),
      );
    },
    decode: (ids) => tokenizer.decode(endsLines && ids.at(-1) === EOS ? ids.subarray(0, -1) : ids),
  };
}
