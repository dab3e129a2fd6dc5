import { countTokens } from '@knn-lm/binarizer';
import { str } from '../options/option.js';
import { parseArguments, type CommandLine } from '../options/parse.js';
import { writeAll } from '../terminal/log.js';

const commandLine: CommandLine = {
  program: 'count_tokens',
  description: 'Prints the number of tokens of binarized text, line ends included.',
  options: [
    str('--data-bin-path -d', null, 'prefix of the .bin and .idx files, such as data-bin/train', {
      required: true,
    }),
  ],
  allowAbbreviations: true,
};

/** `count_tokens`. */
export async function countTokensCommand(argv: readonly string[]): Promise<undefined> {
  const { values } = parseArguments(commandLine, argv);
  writeAll(1, `${await countTokens(values['data_bin_path'] as string)}\n`);
}
