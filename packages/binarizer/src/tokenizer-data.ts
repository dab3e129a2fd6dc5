import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
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

/** Whether a folder's dictionary is that of the tokenizer, so that more texts can be added. */
export async function isDictionaryOf({ dictionary }: TokenizerPlan, path: string): Promise<boolean> {
  return existsSync(path) && (await readFile(path, 'utf8')) === dictionary.toText();
}

/** Of `</s>`, which ends a line. */
const EOS = 2;

/**
 * Opens what turns ids of a data-bin back into text.
 *
 * @param dataBin - the folder
 * @returns gives the text of ids (the `</s>` that ends a line is left out); `undefined` for data of words
 * @throws BinarizerError `TOKEN_MAP_DAMAGED`, `TOKENIZER_…`
 * @throws KnnLmError `FILE_…`
 *
 * @example
 * ```ts
 * const { dataset } = await openDataBin('data-bin', 'test');
 * const textOf = await openTokenDecoder('data-bin');
 * console.log(textOf?.(dataset.sentence(0)));
 * ```
 */
export async function openTokenDecoder(dataBin: string): Promise<((ids: Int32Array) => string) | undefined> {
  const found = await readTokenizerOf(dataBin);
  if (found === undefined) return undefined;
  const { file, map } = found;
  const tokenizer = await ModelTokenizer.create(file, map);
  return (ids) => tokenizer.decode(!map.keepsNewlines && ids.at(-1) === EOS ? ids.subarray(0, -1) : ids);
}
