import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import { afterAll, describe, expect, it } from 'vitest';
import { Dictionary } from './dictionary.js';
import { openDataBin } from './open-dataset.js';
import { preprocess } from './preprocess.js';
import type { PreprocessOptions } from './preprocess-options.js';
import { readTokenMap, tokenMapOf } from './token-map.js';
import { openTokenDecoder } from './tokenizer-data.js';
import { readTokenizerFile } from './tokenizer-file.js';

interface Digest {
  readonly tokens: number;
  readonly sha256: string;
}

/** What the Python library makes of texts; see test/golden/tokenizers/make.py. */
interface Expected {
  readonly texts: readonly string[];
  readonly tokenizers: Record<
    string,
    { readonly ids: readonly number[][]; readonly lines: Digest; readonly whole: Digest }
  >;
}

const golden = new URL('../test/golden/tokenizers/', import.meta.url);
const expected = JSON.parse(readFileSync(new URL('expected.json', golden), 'utf8')) as Expected;
const names = Object.keys(expected.tokenizers);
const pathOf = (name: string) => new URL(name, golden).pathname;
const speeches = repositoryFile('demo', 'text', 'speeches.valid.tokens');

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-tokenizer-'));
afterAll(() => rm(folder, { recursive: true }));

let runs = 0;
async function encoded(name: string, trainpref: string, options: PreprocessOptions = {}) {
  const destdir = join(folder, `out${runs++}`);
  const eos = name === 'word-piece' ? { tokenizerEos: '[SEP]' } : {};
  const tokenizer = pathOf(name);
  await preprocess({ onlySource: true, trainpref, destdir, tokenizer, ...eos, ...options });
  const { dataset, dictionary } = await openDataBin(destdir, 'train');
  const map = (await readTokenMap(destdir))!;
  return { destdir, dataset, dictionary, map };
}

/** The model's ids of a dataset; without what ends the lines. */
function modelIdsOf({
  dataset,
  map,
}: Pick<Awaited<ReturnType<typeof encoded>>, 'dataset' | 'map'>): number[] {
  return Array.from({ length: dataset.length }, (_, i) => {
    const ids = Array.from(dataset.sentence(i), (id) => map.modelIds[id]);
    return map.keepsNewlines ? ids : ids.slice(0, -1);
  }).flat();
}

const digestOf = (ids: readonly number[]): Digest => ({
  tokens: ids.length,
  sha256: createHash('sha256').update(Int32Array.from(ids)).digest('hex'),
});

describe.each(names)('preprocess with the tokenizer %s', (name) => {
  const texts = join(folder, `${name}-texts`);

  it('gives the ids of the Python library', async () => {
    await mkdir(texts);
    const map = tokenMapOf(await readTokenizerFile(pathOf(name)), { eos: undefined, keepsNewlines: true });
    for (const [i, text] of expected.texts.entries()) {
      await writeFile(join(texts, 'text'), text);
      const result = await encoded(name, join(texts, 'text'), { tokenizerKeepNewlines: true });
      expect([i, text, modelIdsOf(result)]).toEqual([i, text, expected.tokenizers[name].ids[i]]);
      expect(result.dictionary.size).toBe(map.modelIds.length);
      result.dataset.close();
    }
  });

  it('gives them for a file, line by line, with any number of threads, and its text again', async () => {
    const files = new Set<string>();
    for (const workers of [1, 3]) {
      const result = await encoded(name, speeches, { workers, leastBytesPerWorker: 1000 });
      expect(digestOf(modelIdsOf(result))).toEqual(expected.tokenizers[name].lines);
      files.add(
        createHash('sha256')
          .update(await readFile(join(result.destdir, 'train.bin')))
          .digest('hex'),
      );
    }
    expect(files.size).toBe(1);
  });

  it('gives them for a file as one text', async () => {
    const result = await encoded(name, speeches, { tokenizerKeepNewlines: true, workers: 2 });
    expect(result.dataset.length).toBe(1);
    expect(digestOf(modelIdsOf(result))).toEqual(expected.tokenizers[name].whole);
  });
});

describe('data made with a tokenizer', () => {
  const text = 'The people\n\n of\u00a0the  new word <|endoftext|> caf\u00e9 \u{1f600}\r\nend';

  it('ends each line with </s>, which is the token that ends a text', async () => {
    await writeFile(join(folder, 'lines'), text);
    const { dataset, dictionary, map } = await encoded('byte-level', join(folder, 'lines'));
    expect(dataset.length).toBe(4);
    expect([...dataset.sentence(1)]).toEqual([2]);
    expect(dictionary.index('<|endoftext|>')).toBe(4);
    // The token in the text has the id of </s> too.
    expect([...map.modelIds.slice(0, 6)]).toEqual([0, -1, 0, -1, 0, 1]);
    expect([...dataset.sentence(2)].filter((id) => id === 2)).toHaveLength(2);
  });

  it.each([
    ['lines', false, text.replace('\r\n', '\n')],
    ['whole', true, text],
  ])('can be read again: %s', async (_, tokenizerKeepNewlines, expectedText) => {
    await writeFile(join(folder, 'again'), text);
    const { destdir, dataset } = await encoded('byte-level', join(folder, 'again'), {
      tokenizerKeepNewlines,
    });
    const decoder = (await openTokenDecoder(destdir))!;
    const lines = Array.from({ length: dataset.length }, (_, i) => decoder.decode(dataset.sentence(i)));
    expect(lines.join('\n')).toBe(expectedText);
    expect(decoder.endsLines).toBe(!tokenizerKeepNewlines);
  });

  it('has a dictionary of the tokenizer alone, in the order of its ids, which can be read again', async () => {
    const json = JSON.parse(await readFile(join(pathOf('byte-fallback'), 'tokenizer.json'), 'utf8')) as {
      added_tokens: { content: string; id: number }[];
    };
    json.added_tokens.find(({ content }) => content === '<extra>')!.id = 460;
    const tokenizer = join(folder, 'with-holes');
    await mkdir(tokenizer);
    await writeFile(join(tokenizer, 'tokenizer.json'), JSON.stringify(json));
    await writeFile(join(tokenizer, 'tokenizer_config.json'), '{"eos_token":"</s>","bos_token":"<s>"}');
    const { destdir, dictionary, map } = await encoded('byte-fallback', speeches, { tokenizer });
    const file = await readTokenizerFile(tokenizer);
    const loaded = await Dictionary.load(join(destdir, 'dict.txt'));
    expect(loaded.fingerprint).toBe(dictionary.fingerprint);
    expect(dictionary.size).toBe(4 + 461);
    expect([dictionary.symbol(4), dictionary.symbol(4 + 455), dictionary.symbol(4 + 460)]).toEqual([
      '<unk>\\0',
      '\\unused\\455',
      '<extra>',
    ]);
    expect([dictionary.count(4 + 455), dictionary.count(4 + 460)]).toEqual([0, 1]);
    expect([...map.modelIds.slice(0, 5), map.modelIds[4 + 455]]).toEqual([1, -1, 2, 0, 0, -1]);
    expect(map.fingerprint).toBe(file.fingerprint);
    expect((await readdir(destdir)).sort()).toEqual(
      'dict.txt preprocess.log tokenizer.json tokenizer.map.json tokenizer_config.json train.bin train.idx'.split(
        ' ',
      ),
    );
  });

  it('counts unknown text as replaced', async () => {
    await writeFile(join(folder, 'unknown'), 'the \u{1f600} people\n');
    const options = { onlySource: true, trainpref: join(folder, 'unknown'), tokenizer: pathOf('unigram') };
    const { splits } = await preprocess({ ...options, destdir: join(folder, 'replaced') });
    expect(splits).toMatchObject([{ sentences: 1, replaced: 1 }]);
  });

  it('can be added to, in the same way only', async () => {
    const { destdir } = await encoded('byte-level', speeches);
    const more = {
      onlySource: true,
      testpref: join(folder, 'more'),
      destdir,
      tokenizer: pathOf('byte-level'),
    };
    await writeFile(more.testpref, 'more\n');
    await expect(preprocess(more)).resolves.toMatchObject({ splits: [{ split: 'test' }] });
    for (const other of [
      { tokenizer: pathOf('unigram') },
      { tokenizerKeepNewlines: true },
      { tokenizerEos: 'a' },
    ]) {
      await expect(preprocess({ ...more, ...other })).rejects.toMatchObject({ code: 'DICTIONARY_EXISTS' });
    }
  });

  it('is not taken for what it is not', async () => {
    const { destdir } = await encoded('byte-level', speeches);
    const mapPath = join(destdir, 'tokenizer.map.json');
    const written = JSON.parse(await readFile(mapPath, 'utf8')) as Record<string, unknown>;
    for (const damage of [
      '',
      '{',
      'null',
      '[]',
      { ...written, version: 2 },
      { ...written, size: 5 },
      { version: 1 },
    ]) {
      await writeFile(mapPath, typeof damage === 'string' ? damage : JSON.stringify(damage));
      await expect(readTokenMap(destdir)).rejects.toMatchObject({ code: 'TOKEN_MAP_DAMAGED' });
    }
    await writeFile(mapPath, JSON.stringify(written));
    await writeFile(
      join(destdir, 'tokenizer.json'),
      await readFile(join(pathOf('split-regex'), 'tokenizer.json')),
    );
    await expect(readTokenMap(destdir)).rejects.toMatchObject({
      code: 'TOKEN_MAP_DAMAGED',
      message: expect.stringContaining('another tokenizer') as string,
    });
    expect(await readTokenMap(folder)).toBeUndefined();
    expect(await openTokenDecoder(folder)).toBeUndefined();
  });

  it('needs a token for line ends', async () => {
    const options = { onlySource: true, trainpref: speeches, tokenizer: pathOf('word-piece') };
    const destdir = join(folder, 'no-eos');
    await expect(preprocess({ ...options, destdir })).rejects.toMatchObject({
      code: 'OPTION_MISSING',
      hint: expect.stringContaining('--tokenizer-eos') as string,
    });
    await expect(preprocess({ ...options, destdir, tokenizerEos: 'no such' })).rejects.toMatchObject({
      code: 'TOKENIZER_TOKEN_UNKNOWN',
    });
  });

  it.each([
    { onlySource: false },
    { srcdict: 'dict.txt' },
    { thresholdsrc: 2 },
    { nwordssrc: 100 },
    { joinedDictionary: true },
    { datasetImpl: 'raw' as const },
    { alignSuffix: 'align' },
    { tokenizer: undefined, tokenizerKeepNewlines: true },
    { tokenizer: undefined, tokenizerEos: 'a' },
  ])('is refused together with %j', async (options) => {
    const base = { onlySource: true, trainpref: speeches, tokenizer: pathOf('byte-level') };
    await expect(preprocess({ ...base, destdir: join(folder, 'refused'), ...options })).rejects.toMatchObject(
      {
        code: 'OPTION_CONFLICT',
      },
    );
  });

  it('names the byte of text that is not UTF-8, also at the end and between pieces', async () => {
    const path = join(folder, 'bad');
    for (const [offset, length] of [
      [5, 10],
      [262_143, 300_000],
      [99, 100],
    ]) {
      const bytes = Buffer.alloc(length, 'ab ');
      bytes[offset] = 0xe2;
      await writeFile(path, bytes);
      const options = { onlySource: true, trainpref: path, tokenizer: pathOf('byte-level') };
      await expect(preprocess({ ...options, destdir: join(folder, 'bad-out') })).rejects.toMatchObject({
        code: 'TEXT_NOT_UTF8',
        details: { byteOffset: offset },
      });
    }
  });
});

describe('a tokenizer.json', () => {
  it('of another kind is refused by name', async () => {
    const path = join(folder, 'kind.json');
    await writeFile(path, JSON.stringify({ model: { type: 'WordLevel', vocab: { a: 0 } } }));
    await expect(readTokenizerFile(path)).rejects.toMatchObject({
      code: 'TOKENIZER_UNSUPPORTED',
      message: expect.stringContaining('WordLevel') as string,
    });
  });

  it('whose delimiters are joined to a neighbour is refused, unless there are none', async () => {
    const path = join(folder, 'behavior.json');
    const split = { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false };
    const json = {
      model: { type: 'BPE', vocab: { a: 0 }, merges: [] },
      pre_tokenizer: { type: 'Sequence', pretokenizers: [split] },
    };
    await writeFile(path, JSON.stringify(json));
    await expect(readTokenizerFile(path)).rejects.toMatchObject({
      code: 'TOKENIZER_UNSUPPORTED',
      message: expect.stringContaining('MergedWithPrevious') as string,
    });
    const normalizer = { type: 'Replace', pattern: { String: ' ' }, content: '\u2581' };
    await writeFile(path, JSON.stringify({ ...json, normalizer }));
    await expect(readTokenizerFile(path)).resolves.toMatchObject({ tokens: ['a'] });
  });
});

describe('a damaged tokenizer.json', () => {
  const good = readFileSync(new URL('byte-level/tokenizer.json', golden), 'utf8');
  const changed = (change: (json: Record<string, Record<string, unknown>>) => void) => {
    const json = JSON.parse(good) as Record<string, Record<string, unknown>>;
    change(json);
    return JSON.stringify(json);
  };

  it.each([
    ['is empty', ''],
    ['is cut short', good.slice(0, 3000)],
    ['is no object', '[1]'],
    ['has no model', '{}'],
    ['has no vocabulary', changed((json) => delete json['model']['vocab'])],
    ['has an id below 0', changed((json) => (json['model']['vocab'] = { a: -1 }))],
    ['has an id that is too large', changed((json) => (json['model']['vocab'] = { a: 2 ** 31 }))],
    ['has merges that are none', changed((json) => (json['model']['merges'] = 7))],
    ['has an unknown pre-tokenizer', changed((json) => (json['pre_tokenizer']['type'] = 'Magic'))],
    ['has added tokens without ids', changed((json) => (json['added_tokens'] = [{ content: 'a' }] as never))],
    ['is not UTF-8', Buffer.of(0x7b, 0xff)],
  ])('is refused when it %s', async (_, content) => {
    const tokenizer = join(folder, 'tokenizer.json');
    await writeFile(tokenizer, content);
    const options = { onlySource: true, trainpref: speeches, tokenizer, tokenizerKeepNewlines: true };
    await expect(preprocess({ ...options, destdir: join(folder, 'damaged') })).rejects.toMatchObject({
      code: 'TOKENIZER_DAMAGED',
      details: expect.objectContaining({ path: tokenizer }) as object,
    });
  });
});
