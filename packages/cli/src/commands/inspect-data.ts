import {
  inspectSentences,
  openDataBin,
  openTokenDecoder,
  type InspectedSentence,
  type TokenDecoder,
  type TokenDataset,
} from '@knn-lm/binarizer';
import { throwIfAborted } from '@knn-lm/common';
import { flag, int, str } from '../options/option.js';
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
    flag(
      '--raw-text',
      'print the text alone: of data made with a tokenizer what was encoded, otherwise the words',
    ),
  ],
};

/** Text gathered for one write. */
const outputBytes = 65_536;

/** `knn-lm inspect-data`. */
export const inspectDataCommand: Command = {
  commandLine,
  async run({ values }, { json, print, signal }) {
    const split = values['gen_subset'] as string;
    const data = values['data'] as string;
    const decoder = await openTokenDecoder(data.split(':')[0]);
    const { dictionary, dataset } = await openDataBin(data, split);
    const end = optional(values['end'] as number | null) ?? dataset.length;
    const range = { start: values['start'] as number, end };
    const sentences = closingAtEnd(dataset, inspectSentences(dataset, dictionary, range), signal);
    const about = { split, sentences_in_all: dataset.length, tokens_in_all: dataset.tokenCount };
    if (json) return { ...about, sentences: described(sentences, decoder) };
    const shown = values['raw_text'] === true ? rawText(decoder, dictionary.eos) : numbered;
    let lines = '';
    for (const sentence of sentences) {
      lines += shown(sentence);
      if (lines.length < outputBytes) continue;
      if (!print(lines)) return about;
      lines = '';
    }
    print(lines);
    return about;
  },
};

function numbered({ sentence, words }: InspectedSentence): string {
  return `${sentence}\t${words.join(' ')}\n`;
}

/** The text of a sentence, and the line end that it stands for. */
function rawText(decoder: TokenDecoder | undefined, eos: number): (sentence: InspectedSentence) => string {
  return ({ ids, words }) => {
    if (decoder !== undefined) return decoder.decode(ids) + (decoder.endsLines ? '\n' : '');
    return `${words.slice(0, ids.at(-1) === eos ? -1 : undefined).join(' ')}\n`;
  };
}

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
function* described(sentences: Iterable<InspectedSentence>, decoder: TokenDecoder | undefined) {
  for (const { sentence, ids, words } of sentences) {
    yield { sentence, ids: Array.from(ids), words, ...(decoder && { text: decoder.decode(ids) }) };
  }
}
