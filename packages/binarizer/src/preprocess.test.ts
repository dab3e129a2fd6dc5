import { mkdir, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { CancelledError } from '@knn-lm/common';
import { fixture, fixturesFolder } from '@knn-lm/testing';
import { describe, expect, it } from 'vitest';
import { openDataset } from './open-dataset.js';
import { preprocess } from './preprocess.js';
import type { PreprocessOptions } from './preprocess-options.js';

type GoldenFiles = Record<string, { readonly text?: string; readonly base64?: string }>;

/** One run of the Python system; see test/golden/README.md. */
interface GoldenCase {
  readonly command: string;
  readonly exit: number;
  readonly inputs: GoldenFiles;
  readonly outputs?: GoldenFiles;
  readonly exception?: string;
  readonly message?: string;
  readonly log: readonly string[];
}

const cases = JSON.parse(
  readFileSync(new URL('../test/golden/preprocess-cases.json', import.meta.url), 'utf8'),
) as Record<string, GoldenCase>;

const bytesOf = ({ text, base64 }: GoldenFiles[string]) =>
  text === undefined ? Buffer.from(base64 ?? '', 'base64') : Buffer.from(text);

const newFolder = () => mkdtemp(join(tmpdir(), 'knn-lm-preprocess-'));

/** Options of a command line whose paths begin with `in/`, in a folder. */
function optionsOf(command: string, folder: string): PreprocessOptions {
  const options: Record<string, string | number | boolean> = {};
  for (const part of command.split(/ --/).slice(1)) {
    const [flag, value] = part.split(' ');
    const name = flag.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    if (value === undefined) options[name] = true;
    else if (/^-?\d+$/.test(value)) options[name] = Number(value);
    else
      options[name] = name === 'destdir' ? join(folder, value) : value.replaceAll('in/', join(folder, 'in/'));
  }
  return options;
}

async function filesOf(folder: string): Promise<Map<string, Buffer>> {
  const names = (await readdir(folder)).filter((name) => name !== 'preprocess.log').sort();
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)),
  );
}

async function runCase(golden: GoldenCase, changes: PreprocessOptions) {
  const folder = await newFolder();
  await mkdir(join(folder, 'in'));
  for (const [name, content] of Object.entries(golden.inputs))
    await writeFile(join(folder, 'in', name), bytesOf(content));
  const lines: string[] = [];
  const logger = {
    info: (line: string) => lines.push(line.replaceAll(`${folder}/`, '')),
    warn: () => undefined,
  };
  const options = { ...optionsOf(golden.command, folder), ...changes };
  const error: unknown = await preprocess(options, { logger }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return { error, lines, destdir: join(folder, 'out'), folder };
}

const codes: Record<string, string> = {
  srcdict_dup: 'DICTIONARY_DUPLICATE',
  srcdict_special: 'DICTIONARY_DUPLICATE',
  srcdict_badformat: 'DICTIONARY_FORMAT',
  srcdict_float: 'DICTIONARY_FORMAT',
  srcdict_blankline: 'DICTIONARY_FORMAT',
  no_train_no_dict: 'OPTION_MISSING',
  invalid_utf8: 'TEXT_NOT_UTF8',
};

describe('preprocess, against the Python system', () => {
  // The texts are small: in 3 threads every few bytes are a range of their own.
  const threads = { workers: 3, leastBytesPerWorker: 5 };
  const otherTexts =
    /^(basic|unicode|tie_order|whitespace|crlf|lone_cr|no_trailing|bom|empty|only_newline|special|big|impl_cached|invalid)/;
  const runs: [string, string, PreprocessOptions][] = Object.keys(cases).flatMap((name) => [
    [name, 'as it is', {}],
    ...(otherTexts.test(name)
      ? [[name, 'in 3 threads', threads] as [string, string, PreprocessOptions]]
      : []),
  ]);

  it.each(runs)('%s, %s', async (name, _, changes) => {
    const golden = cases[name];
    const { error, lines, destdir } = await runCase(golden, changes);
    if (golden.exit !== 0) {
      expect(error).toMatchObject({ code: codes[name] });
      const known = golden.message?.match(
        /^(Duplicate word.*?'\.?|Incorrect dictionary format|--trainpref.*)/,
      )?.[1];
      expect((error as Error).message).toContain(known?.replace(/\.$/, '') ?? 'not UTF-8');
      return;
    }
    expect(error).toBeUndefined();
    const written = await filesOf(destdir);
    expect([...written.keys()]).toEqual(Object.keys(golden.outputs ?? {}).sort());
    for (const [file, content] of Object.entries(golden.outputs ?? {})) {
      expect(written.get(file)?.toString('latin1')).toBe(bytesOf(content).toString('latin1'));
    }
    expect(lines).toEqual(golden.log);
  });

  it.skipIf(fixturesFolder === undefined)('writes the corpus byte for byte, in 1 and 2 threads', async () => {
    const text = (name: string) => fixture('corpus', 'text', name);
    const folder = await newFolder();
    const trainpref = join(folder, 'wiki.train.tokens');
    await writeFile(trainpref, gunzipSync(await readFile(text('wiki.train.tokens.gz'))));
    for (const workers of [1, 2]) {
      const destdir = join(folder, `out${workers}`);
      await preprocess({
        onlySource: true,
        trainpref,
        validpref: `${text('wiki.valid.tokens')},${text('wiki.valid1.tokens')}`,
        testpref: `${text('wiki.test.tokens')},${text('wiki.test1.tokens')}`,
        destdir,
        workers,
        leastBytesPerWorker: 2 ** 20,
      });
      for (const [name, bytes] of await filesOf(destdir)) {
        const golden =
          name === 'train.bin'
            ? gunzipSync(await readFile(fixture('corpus', 'data-bin', 'train.bin.gz')))
            : await readFile(fixture('corpus', 'data-bin', name));
        expect([name, bytes.equals(golden)]).toEqual([name, true]);
      }
    }
  });

  it.skipIf(fixturesFolder === undefined).each(['uint16_limit_65499', 'uint32_limit_65500'])(
    '%s',
    async (name) => {
      const destdir = join(await newFolder(), 'out');
      const srcdict = fixture('preprocess', name, 'out', 'dict.txt');
      await preprocess({
        onlySource: true,
        testpref: fixture('preprocess', name, 'in', 'test.txt'),
        srcdict,
        destdir,
      });
      for (const [file, bytes] of await filesOf(destdir)) {
        expect(bytes.equals(await readFile(fixture('preprocess', name, 'out', file)))).toBe(true);
      }
    },
  );
});

describe('preprocess', () => {
  const textFiles = async (texts: Record<string, string>) => {
    const folder = await newFolder();
    for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text);
    return folder;
  };

  it('writes the same for any number of threads', async () => {
    const words = Array.from({ length: 40_000 }, (_, i) => `w${Math.floor(Math.sqrt((i * 7919) % 100_003))}`);
    const lines = words
      .join(' ')
      .replace(/(w1\d*) /g, '$1\r\n')
      .replace(/(w2\d*) /g, '$1\r')
      .replace(/(w3\d*) /g, '$1 \n\n');
    const folder = await textFiles({ 'a.txt': lines });
    const digests = new Set<string>();
    for (const workers of [1, 2, 3, 7]) {
      const destdir = join(folder, `out${workers}`);
      await preprocess({
        onlySource: true,
        trainpref: join(folder, 'a.txt'),
        destdir,
        workers,
        leastBytesPerWorker: 1,
      });
      const hash = createHash('sha256');
      for (const [name, bytes] of await filesOf(destdir)) hash.update(name).update(bytes);
      digests.add(hash.digest('hex'));
    }
    expect(digests.size).toBe(1);
  });

  it('finds a made-up word of the padding that the text has, too seldom to be kept', async () => {
    const folder = await textFiles({ 'a.txt': 'a a madeupword0000 a\na x madeupword0002 madeupword0002 \n' });
    const destdir = join(folder, 'out');
    const options = { onlySource: true, trainpref: join(folder, 'a.txt'), destdir, thresholdsrc: 2 };
    const { dictionary, splits } = await preprocess(options);
    // As fairseq: the third number is used up, and the first word has an id again.
    expect(await readFile(join(destdir, 'dict.txt'), 'utf8')).toBe(
      'a 4\nmadeupword0002 2\nmadeupword0000 0\nmadeupword0001 0\n',
    );
    expect(splits).toMatchObject([{ tokens: 10, replaced: 1 }]);
    const dataset = await openDataset(join(destdir, 'train'), { dictionary });
    expect([...dataset.readTokens(0, 10)]).toEqual([4, 4, 6, 4, 2, 4, 3, 5, 5, 2]);
  });

  it('takes the files of a pattern as one text, in the order of their names', async () => {
    const folder = await textFiles({ 'b.txt': 'c c\n', 'a.txt': 'a\nb', 'B.txt': 'd', 'x.md': 'z' });
    const pattern = join(folder, '*.txt');
    const result = await preprocess({ onlySource: true, trainpref: pattern, destdir: join(folder, 'out') });
    expect(result.splits).toMatchObject([
      { split: 'train', input: pattern, sentences: 4, tokens: 9, replaced: 0 },
    ]);
    const { dictionary } = result;
    const dataset = await openDataset(join(folder, 'out', 'train'), { dictionary });
    expect(Array.from({ length: 4 }, (_, i) => dictionary.decode(dataset.sentence(i)))).toEqual([
      'd </s>',
      'a </s>',
      'b </s>',
      'c c </s>',
    ]);
    const raw = {
      onlySource: true,
      trainpref: pattern,
      destdir: join(folder, 'raw'),
      datasetImpl: 'raw',
    } as const;
    await preprocess(raw);
    expect(await readFile(join(folder, 'raw', 'train.None-None'), 'utf8')).toBe('d\na\nb\nc c\n');
  });

  it('writes the argument dump and its log lines to preprocess.log, after what is there', async () => {
    const folder = await textFiles({ 'a.txt': 'a b c\n' });
    const options = { onlySource: true, trainpref: join(folder, 'a.txt'), destdir: join(folder, 'out') };
    await preprocess({ ...options, argumentDump: 'Namespace(seed=1)' });
    await expect(preprocess({ ...options, argumentDump: 'Namespace(seed=2)' })).rejects.toMatchObject({
      code: 'DICTIONARY_EXISTS',
      hint: expect.stringContaining('--srcdict') as string,
    });
    expect((await readFile(join(folder, 'out', 'preprocess.log'), 'utf8')).split('\n')).toEqual([
      'Namespace(seed=1)',
      '[None] Dictionary: 8 types',
      `[None] ${folder}/a.txt: 1 sents, 4 tokens, 0.0% replaced (by <unk>)`,
      `Wrote preprocessed data to ${folder}/out`,
      'Namespace(seed=2)',
      '',
    ]);
  });

  it('encodes two languages with their dictionaries, and their alignments', async () => {
    const folder = await textFiles({
      'train.de': 'das haus\nein haus ist das\n',
      'train.en': 'the house\na house is it\n',
      'train.align': '0-0 1-1\n0-0 1-1 2-2 3-3\n',
    });
    const destdir = join(folder, 'out');
    const trainpref = join(folder, 'train');
    const languages = { sourceLang: 'de', targetLang: 'en', trainpref, destdir };
    const result = await preprocess({ ...languages, alignSuffix: 'align', alignfile: `${trainpref}.align` });
    expect([...(await filesOf(destdir)).keys()]).toEqual([
      'alignment.de-en.txt',
      'dict.de.txt',
      'dict.en.txt',
      'train.align.de-en.bin',
      'train.align.de-en.idx',
      'train.de-en.de.bin',
      'train.de-en.de.idx',
      'train.de-en.en.bin',
      'train.de-en.en.idx',
    ]);
    expect(result.targetDictionary?.index('house')).toBe(4);
    expect((await readFile(join(destdir, 'alignment.de-en.txt'), 'utf8')).split('\n')).toEqual([
      'das the',
      'haus house',
      'ein a',
      'ist is',
      '',
    ]);
    const alignments = await openDataset(join(destdir, 'train.align.de-en'));
    expect([...alignments.sentence(1)]).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    const raw = await preprocess({
      ...languages,
      destdir: join(folder, 'raw'),
      alignSuffix: 'align',
      datasetImpl: 'raw',
    });
    expect(raw.splits).toEqual([]);
    const beside = await openDataset(join(folder, 'raw', 'train.align.de-en'));
    expect([...beside.sentence(1)]).toEqual([...alignments.sentence(1)]);
    expect((await readFile(`${beside.path}.idx`)).toString('latin1', 0, 6)).toBe('TNTIDX');
    const joined = await preprocess({
      ...languages,
      destdir: join(folder, 'joined'),
      joinedDictionary: true,
    });
    expect(joined.dictionary).toBe(joined.targetDictionary);
    expect(['das', 'house'].map((word) => joined.dictionary.index(word)).every((id) => id > 3)).toBe(true);
  });

  it.each([
    ['0-0 1\n0-0\n', /:1: '1' is no alignment/],
    ['0-0\n0-9\n', /:2: '0-9' points beyond/],
    ['0-0\n0-0\n0-0\n', /:3: the text has only 2 lines/],
    ['0-0\n', /ends before line 2, which the text has/],
  ])('refuses the alignments %j', async (alignments, message) => {
    const folder = await textFiles({ 'train.de': 'a\nb\n', 'train.en': 'a\nb\n', al: alignments });
    const languages = { sourceLang: 'de', targetLang: 'en', trainpref: join(folder, 'train') };
    await expect(
      preprocess({ ...languages, destdir: join(folder, 'out'), alignfile: join(folder, 'al') }),
    ).rejects.toMatchObject({ code: 'ALIGNMENT_FORMAT', message: expect.stringMatching(message) as string });
  });

  it.each([
    [{ trainpref: 'NONE/a.txt' }, 'FILE_ENOENT'],
    [{ trainpref: 'NONE/*.txt' }, 'TEXT_NOT_FOUND'],
    [{ trainpref: '.' }, 'FILE_EISDIR'],
    [{ trainpref: 'a', workers: 0 }, 'OPTION_INVALID'],
    [{ trainpref: 'a', nwordssrc: 1.5 }, 'OPTION_INVALID'],
    [{ trainpref: 'a', datasetImpl: 'huffman' as 'mmap' }, 'OPTION_INVALID'],
    [{ srcdict: 'a', tgtdict: 'b', joinedDictionary: true }, 'OPTION_CONFLICT'],
  ])('refuses %j and writes no dictionary', async (options, code) => {
    const destdir = join(await newFolder(), 'out');
    await expect(preprocess({ onlySource: true, ...options, destdir })).rejects.toMatchObject({ code });
    expect(await readdir(destdir).catch(() => [])).toEqual([]);
  });

  it.each([1, 4])('leaves no half-written file when stopped, with %d threads', async (workers) => {
    const folder = await textFiles({ 'a.txt': 'some words in a line\n'.repeat(200_000) });
    const controller = new AbortController();
    const onProgress = ({ stage, done }: { stage: string; done: number }) => {
      if (stage === 'write' && done > 0) controller.abort();
    };
    const destdir = join(folder, 'out');
    await expect(
      preprocess(
        { onlySource: true, trainpref: join(folder, 'a.txt'), destdir, workers, leastBytesPerWorker: 1 },
        { signal: controller.signal, onProgress },
      ),
    ).rejects.toBeInstanceOf(CancelledError);
    expect((await readdir(destdir)).sort()).toEqual(['dict.txt', 'preprocess.log']);
  });

  it('names the byte of the first bad place, with any number of threads', async () => {
    const good = 'some words in a line\n'.repeat(2000);
    const folder = await newFolder();
    const bytes = Buffer.from(good + good);
    bytes[good.length + 3] = 0xff;
    bytes[good.length + 9000] = 0xff;
    await writeFile(join(folder, 'a.txt'), bytes);
    for (const workers of [1, 2, 5]) {
      const destdir = join(folder, `out${workers}`);
      await expect(
        preprocess({
          onlySource: true,
          trainpref: join(folder, 'a.txt'),
          destdir,
          workers,
          leastBytesPerWorker: 1,
        }),
      ).rejects.toMatchObject({ code: 'TEXT_NOT_UTF8', details: { byteOffset: good.length + 3 } });
    }
  });

  it('reports progress up to the size of the text', async () => {
    const folder = await textFiles({ 'a.txt': 'a b c\n'.repeat(100) });
    const reports: [string, number, number | undefined][] = [];
    await preprocess(
      { onlySource: true, trainpref: join(folder, 'a.txt'), destdir: join(folder, 'out') },
      { onProgress: ({ stage, done, total }) => reports.push([stage, done, total]) },
    );
    expect(reports).toEqual([
      ['count words', 600, 600],
      ['write', 800, 800],
    ]);
  });

  it('reads a word that is longer than a piece of the text', async () => {
    const long = 'x'.repeat(3_000_000);
    const folder = await textFiles({ 'a.txt': `a ${long} b\n${long}\n` });
    const result = await preprocess({
      onlySource: true,
      trainpref: join(folder, 'a.txt'),
      destdir: join(folder, 'out'),
    });
    expect(result.splits).toMatchObject([{ sentences: 2, tokens: 6 }]);
    expect(result.dictionary.symbol(4)).toBe(long);
  });
});
