import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { countTokens, inspectSentences } from './inspect.js';
import { openDataBin } from './open-dataset.js';
import { preprocess } from './preprocess.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-inspect-'));
const text = join(folder, 'a.txt');
await writeFile(text, 'a b\n\nb c\n');
await preprocess({ onlySource: true, trainpref: text, destdir: join(folder, 'bin'), paddingFactor: 1 });
const { dataset, dictionary } = await openDataBin(join(folder, 'bin'), 'train');

describe('inspectSentences', () => {
  it('gives the words of a range of sentences', () => {
    expect([...inspectSentences(dataset, dictionary)].map(({ words }) => words.join(' '))).toEqual([
      'a b </s>',
      '</s>',
      'b c </s>',
    ]);
    const [only, ...others] = inspectSentences(dataset, dictionary, { start: 2, end: 3 });
    expect([only.sentence, [...only.ids], others]).toEqual([2, [4, 6, 2], []]);
  });

  it.each([{ start: -1 }, { end: 4 }, { start: 1.5 }])('refuses the range %j', (range) => {
    expect(() => inspectSentences(dataset, dictionary, range).next()).toThrow(
      expect.objectContaining({ code: 'SENTENCE_OUT_OF_RANGE' }),
    );
  });
});

describe('countTokens', () => {
  it('counts the tokens of a split, as ids or as text', async () => {
    expect(await countTokens(join(folder, 'bin', 'train'))).toBe(7);
    expect(await countTokens(text, { dictionary })).toBe(7);
  });
});
