import { inspectSentences, openDataBin, type InspectedSentence, type TokenDataset } from '@knn-lm/binarizer';
import { throwIfAborted } from '@knn-lm/common';
import { int, str } from '../options/option.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
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
export const inspectDataCommand: Command = {
  commandLine,
  async run({ values }, { json, print, signal }) {
    const split = values['gen_subset'] as string;
    const { dictionary, dataset } = await openDataBin(values['data'] as string, split);
    const end = optional(values['end'] as number | null) ?? dataset.length;
    const range = { start: values['start'] as number, end };
    const sentences = closingAtEnd(dataset, inspectSentences(dataset, dictionary, range), signal);
    const about = { split, sentences_in_all: dataset.length, tokens_in_all: dataset.tokenCount };
    if (json) return { ...about, sentences: described(sentences) };
    let lines = '';
    for (const { sentence, words } of sentences) {
      lines += `${sentence}\t${words.join(' ')}\n`;
      if (lines.length < outputBytes) continue;
      if (!print(lines)) return about;
      lines = '';
    }
    print(lines);
    return about;
  },
};

function* closingAtEnd(
  dataset: TokenDataset,
  sentences: Iterable<InspectedSentence>,
  signal: AbortSignal,
): Generator<InspectedSentence> {
  try {
    for (const sentence of sentences) {
      throwIfAborted(signal);
      yield sentence;
    }
  } finally {
    dataset.close();
  }
}

/** One object a sentence, made when it is written. */
function* described(sentences: Iterable<InspectedSentence>) {
  for (const { sentence, ids, words } of sentences) yield { sentence, ids: Array.from(ids), words };
}
