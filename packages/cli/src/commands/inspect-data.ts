import { inspectSentences, openDataBin } from '@knn-lm/binarizer';
import { throwIfAborted } from '@knn-lm/common';
import { int, str } from '../options/option.js';
import { parseArguments, type CommandLine } from '../options/parse.js';
import { writeAll } from '../terminal/log.js';
import { optional } from './lm-task.js';

const commandLine: CommandLine = {
  program: 'knn-lm inspect-data',
  description: 'Prints binarized text as words, one sentence a line after its number.',
  positionals: { data: 'folder made by fairseq-preprocess' },
  options: [
    str('--gen-subset', 'train', 'split to print: train, valid, test, valid1, ...'),
    int('--start', 0, 'first sentence'),
    int('--end', null, 'one behind the last sentence (default: the last of the text)'),
  ],
};

/** Text gathered for one write. */
const outputBytes = 65_536;

/** `knn-lm inspect-data`. */
export async function inspectDataCommand(argv: readonly string[], signal: AbortSignal): Promise<undefined> {
  const { values } = parseArguments(commandLine, argv);
  const { dictionary, dataset } = await openDataBin(values['data'] as string, values['gen_subset'] as string);
  try {
    const end = optional(values['end'] as number | null) ?? dataset.length;
    let lines = '';
    for (const { sentence, words } of inspectSentences(dataset, dictionary, {
      start: values['start'] as number,
      end,
    })) {
      throwIfAborted(signal);
      lines += `${sentence}\t${words.join(' ')}\n`;
      if (lines.length < outputBytes) continue;
      if (!writeAll(1, lines)) return;
      lines = '';
    }
    writeAll(1, lines);
  } finally {
    dataset.close();
  }
}
