// The commands against the Python system's runs on the same files: fixtures/pipeline of the reference folder.
import { readFileSync } from 'node:fs';
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { writeFileSync } from 'node:fs';
import { numberFromFloat16 } from '@knn-lm/common';
import { fixture, fixturesFolder } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { lossOf, messages, runOk, scratchFolder } from './commands.js';

interface PythonRun {
  readonly command: string;
  readonly log: readonly string[];
  readonly loss_base2?: number;
  readonly exit: number;
}

const work = await scratchFolder();
const cache = join(work, 'cache');

/** The Python system's command with our paths: the fixtures, the scratch folder, no user module. */
function argumentsOf(command: string): [program: string, args: string[]] {
  const text = command
    .replaceAll('FIXTURES', fixture())
    .replaceAll('WORK', work)
    .replace(/--user-dir \S+ /, '');
  const words = [...text.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain);
  return [words[0], words.slice(1)];
}

const runModel = (command: string, ...more: string[]) => {
  const [program, args] = argumentsOf(command);
  return runOk(program, [...args, '--model-cache', cache, ...more]);
};

describe.skipIf(fixturesFolder === undefined)('the Python system (needs the fixtures folder)', () => {
  const runs =
    fixturesFolder === undefined
      ? {}
      : (JSON.parse(readFileSync(fixture('pipeline', 'index.json'), 'utf8')) as Record<string, PythonRun>);

  beforeAll(async () => {
    for (const [index, name] of [
      ['ivfpq', 'ivfpq'],
      ['flat', undefined],
    ] as const) {
      const folder = join(work, 'index', index);
      await mkdir(folder, { recursive: true });
      for (const file of ['keys.npy', 'values.npy'])
        await copyFile(fixture('pipeline/datastore/main', file), join(folder, file));
      if (name !== undefined)
        await copyFile(fixture('pipeline/index', name, 'faiss.index'), join(folder, 'faiss.index'));
    }
  });

  it.each([
    'lm/none_256',
    'lm/complete_256',
    'lm/eos',
    'lm/complete_doc',
    'lm/none_256_cw128_sb',
    'lm/complete_256_cw192',
    'lm/none_512_over_maxpos',
    'lm/none_512_override_maxpos',
    'lm/default_flags',
    'lm/batch_size3',
  ])('%s: the same loss, examples and warnings', async (name) => {
    const expected = runs[name];
    const finished = await runModel(expected.command);
    expect(Math.abs(lossOf(finished).lossBase2 - (expected.loss_base2 as number))).toBeLessThan(0.0005);
    const theirs = expected.log.map((line) =>
      line.split(' | ').slice(2).join(' | ').replaceAll('FIXTURES', fixture()),
    );
    const stable = theirs.filter((line) => /examples|invalid sizes/.test(line));
    expect(messages(finished)).toEqual(expect.arrayContaining(stable));
  });

  it('lm/word_probs: the same words with the same log-probabilities and statistics', async () => {
    const lines = messages(await runModel(runs['lm/word_probs'].command));
    const theirs = readFileSync(fixture('pipeline/lm/word_probs/log.txt'), 'utf8').split('\n');
    const probs = (all: readonly string[]) => all.filter((line) => /^\d+ .*\[-?\d+\.\d{6}\]$/.test(line));
    expect(probs(lines).length).toBe(probs(theirs).length);
    for (const [i, line] of probs(theirs).entries()) {
      const [ours, expected] = [probs(lines)[i], line].map((text) => [
        ...text.matchAll(/(\S+) \[(-?[\d.]+)\]/g),
      ]);
      expect(ours.map(([, word]) => word)).toEqual(expected.map(([, word]) => word));
      for (const [j, [, , logProb]] of expected.entries()) {
        expect(Math.abs(Number(ours[j][2]) - Number(logProb))).toBeLessThan(1e-4);
      }
    }
    const statistics = (all: readonly string[]) =>
      all.filter((line) => /^\S+\t\d+\t/.test(line)).map((line) => line.split('\t'));
    expect(statistics(lines).map(([word, count]) => [word, count])).toEqual(
      statistics(theirs).map(([word, count]) => [word, count]),
    );
  });

  it('datastore/main: equal values, and keys within the tolerance of float32 sums in another order', async () => {
    const folder = join(work, 'datastore', 'main');
    const finished = await runModel(runs['datastore/main'].command);
    expect(messages(finished)).toContain('Saved tokens / All tokens: 20238 / 20366');
    expect(
      (await readFile(join(folder, 'values.npy'))).equals(
        await readFile(fixture('pipeline/datastore/main/values.npy')),
      ),
    ).toBe(true);
    const { equalShare, largestSteps } = compareHalves(
      await readFile(join(folder, 'keys.npy')),
      await readFile(fixture('pipeline/datastore/main/keys.npy')),
    );
    // Measured: 99.75 % of the elements have the same 16 bits, the others the neighbouring ones.
    expect(equalShare).toBeGreaterThan(0.99);
    expect(largestSteps).toBeLessThanOrEqual(2);
  });

  it.each(['datastore/cw192', 'datastore/size_too_small', 'datastore/no_context_window_bs1'])(
    '%s: equal values',
    async (name) => {
      await runModel(runs[name].command);
      const ours = await readFile(join(work, name, 'values.npy'));
      expect(ours.equals(await readFile(fixture('pipeline', name, 'values.npy')))).toBe(true);
    },
  );

  it.each([
    'knn/ivfpq_k64_l0.25',
    'knn/ivfpq_k1024_l0.25_recompute',
    'knn/ivfpq_k1024_nprobe1_recompute',
    'knn/ivfpq_k64_l0.25_recompute_nomove',
  ])("%s: the same loss on Python's index and datastore", async (name) => {
    const finished = await runModel(runs[name].command);
    expect(Math.abs(lossOf(finished).lossBase2 - (runs[name].loss_base2 as number))).toBeLessThan(0.002);
  });

  it.each(['knn/flat_k8_l0.1', 'knn/flat_k64_l0.25_none', 'knn/flat_k64_l0.25_nocw'])(
    '%s: the same loss on our exact index',
    async (name) => {
      const [program, args] = argumentsOf(runs['index/flat'].command);
      await runOk(program, args);
      const finished = await runModel(runs[name].command);
      expect(Math.abs(lossOf(finished).lossBase2 - (runs[name].loss_base2 as number))).toBeLessThan(0.002);
    },
  );

  it('fairseq-preprocess on the corpus: byte for byte', async () => {
    const text = join(work, 'wiki.train.tokens');
    writeFileSync(text, gunzipSync(readFileSync(fixture('corpus/text/wiki.train.tokens.gz'))));
    const out = join(work, 'corpus-bin');
    const finished = await runOk('fairseq-preprocess', [
      ...['--only-source', '--trainpref', text, '--workers', '2', '--destdir', out],
      ...[
        '--validpref',
        `${fixture('corpus/text/wiki.valid.tokens')},${fixture('corpus/text/wiki.valid1.tokens')}`,
      ],
      ...[
        '--testpref',
        `${fixture('corpus/text/wiki.test.tokens')},${fixture('corpus/text/wiki.test1.tokens')}`,
      ],
    ]);
    expect(messages(finished)).toContain(
      `[None] ${text}: 15914 sents, 1809407 tokens, 0.0% replaced (by <unk>)`,
    );
    const theirs = (name: string) =>
      name === 'train.bin'
        ? gunzipSync(readFileSync(fixture('corpus/data-bin/train.bin.gz')))
        : readFileSync(fixture('corpus/data-bin', name));
    const splits = ['train', 'valid', 'valid1', 'test', 'test1'].flatMap((split) => [
      `${split}.bin`,
      `${split}.idx`,
    ]);
    for (const name of ['dict.txt', ...splits])
      expect(readFileSync(join(out, name)).equals(theirs(name)), name).toBe(true);
  });
});

/** Compares fp16 arrays; a step is the distance between neighbouring halves, but at least 2^-17, where float32 sums end. */
function compareHalves(ours: Buffer, theirs: Buffer): { equalShare: number; largestSteps: number } {
  expect(ours.length).toBe(theirs.length);
  const [a, b] = [ours, theirs].map((bytes) => new Uint16Array(new Uint8Array(bytes).buffer));
  let equal = 0;
  let largestSteps = 0;
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) {
      equal++;
      continue;
    }
    const expected = numberFromFloat16(b[i]);
    const step = Math.max(2 ** (Math.floor(Math.log2(Math.abs(expected))) - 10), 2 ** -17);
    largestSteps = Math.max(largestSteps, Math.abs(numberFromFloat16(a[i]) - expected) / step);
  }
  return { equalShare: equal / a.length, largestSteps };
}
