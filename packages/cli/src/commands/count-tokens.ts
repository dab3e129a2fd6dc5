import { countTokens } from '@knn-lm/binarizer';
import { str } from '../options/option.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';

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
export const countTokensCommand: Command = {
  commandLine,
  async run({ values }, { print }) {
    const tokens = await countTokens(values['data_bin_path'] as string);
    print(`${tokens}\n`);
    return { tokens };
  },
};
