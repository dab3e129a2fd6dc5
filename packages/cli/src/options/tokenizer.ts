import { flag, str, type Option } from './option.js';

/** Names that fairseq's registry has for `--tokenizer`, which change nothing in what its preprocessing writes. */
const pythonTokenizers = ['moses', 'nltk', 'space'];

/** fairseq's `--tokenizer`, which may also name a tokenizer of Hugging Face here. */
export const tokenizerOption: Option = str(
  '--tokenizer',
  null,
  "encode with a model's tokenizer.json (Hugging Face) instead of a dictionary of words: the file or its folder",
);

/** What goes with it; Python has no such options. */
export const tokenizerOptions: readonly Option[] = [
  str('--tokenizer-eos', null, 'token that ends a line (default: eos_token of tokenizer_config.json)'),
  flag('--tokenizer-keep-newlines', 'encode a file as one text, with its line ends, and add nothing to them'),
];

/**
 * The path of a tokenizer.
 *
 * @param value - of `--tokenizer`
 * @returns `undefined` where it is none, or fairseq's
 */
export function tokenizerPath(value: string | undefined): string | undefined {
  return value === undefined || pythonTokenizers.includes(value) ? undefined : value;
}
