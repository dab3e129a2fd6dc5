// Every mistake ends with status 1 (2 for the command line) and a message that names the file, what was found, what was
// expected and what to do.
import { copyFile, mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const data = join(work, 'data-bin');
const datastore = join(work, 'datastore');
const cache = join(work, 'cache');
const model = ['--path', repositoryFile('demo', 'model.pt'), '--model-cache', cache];
const blocks = [
  '--tokens-per-sample',
  '256',
  '--context-window',
  '128',
  '--max-tokens',
  '256',
  '--gen-subset',
  'valid',
];
const capture = ['--module-to-capture', 'layers[-1].final_layer_norm'];
const evaluateKnn = [
  data,
  ...model,
  ...blocks,
  ...capture,
  '--datastore',
  datastore,
  '--score-knn-lm',
  '--num-neighbors',
  '8',
];

beforeAll(async () => {
  const text = await readFile(repositoryFile('demo', 'text', 'speeches.valid.tokens'), 'utf8');
  await writeFile(join(work, 'text'), text.split('\n').slice(0, 30).join('\n') + '\n');
  const dictionary = ['--srcdict', repositoryFile('demo', 'dict.txt')];
  await runOk('fairseq-preprocess', [
    '--only-source',
    ...dictionary,
    '--validpref',
    join(work, 'text'),
    '--destdir',
    data,
  ]);
  await runOk('generate_lm_datastore', [data, ...model, ...blocks, ...capture, '--datastore', datastore]);
  await runOk('build_faiss_index', ['--datastore', datastore, '--index-type', 'IndexFlatL2']);
});

/** Expects status 1, no stack trace, and every pattern in standard error. */
async function expectFailure(program: string, args: readonly string[], ...patterns: RegExp[]): Promise<void> {
  const { status, stderr } = await run(program, args);
  expect(stderr).not.toMatch(/\n\s+at /);
  for (const pattern of patterns) expect(stderr).toMatch(pattern);
  expect(status).toBe(1);
}

describe('paths and data', () => {
  it('a folder without data names the folder', () =>
    expectFailure('fairseq-eval-lm', [join(work, 'nowhere'), ...model, ...blocks], /nowhere/));

  it('a split that is not there names those that are', () =>
    expectFailure('fairseq-eval-lm', [data, ...model, ...blocks, '--gen-subset', 'tset'], /tset/, /valid/));

  it('a missing checkpoint names the file', () =>
    expectFailure(
      'fairseq-eval-lm',
      [data, '--path', join(work, 'no.pt'), ...blocks],
      /no\.pt/,
      /does not exist/,
    ));

  it('an empty checkpoint and a text file are not checkpoints', async () => {
    await writeFile(join(work, 'empty.pt'), '');
    await expectFailure('fairseq-eval-lm', [data, '--path', join(work, 'empty.pt'), ...blocks], /empty\.pt/);
    await expectFailure('fairseq-eval-lm', [data, '--path', join(work, 'text'), ...blocks], /text/);
  });

  it('a truncated .idx names the file and the sizes', async () => {
    const broken = join(work, 'broken');
    await mkdir(broken);
    for (const name of ['dict.txt', 'valid.bin', 'valid.idx'])
      await copyFile(join(data, name), join(broken, name));
    await truncate(join(broken, 'valid.idx'), 40);
    await expectFailure('fairseq-eval-lm', [broken, ...model, ...blocks], /valid\.idx/, /40/);
  });

  it('a dictionary of another size names both sizes', async () => {
    const other = join(work, 'other');
    await runOk('fairseq-preprocess', [
      '--only-source',
      '--trainpref',
      join(work, 'text'),
      '--validpref',
      join(work, 'text'),
      '--destdir',
      other,
    ]);
    await expectFailure(
      'fairseq-eval-lm',
      [other, ...model, ...blocks],
      /dictionary of .*other has \d+ symbols, the model .* has \d+/,
      /--srcdict/,
    );
  });

  it('a dict.txt that is there is not overwritten', async () => {
    const before = await readFile(join(work, 'other', 'dict.txt'), 'utf8').catch(() => '');
    const again = [
      '--only-source',
      '--trainpref',
      repositoryFile('demo', 'text', 'speeches.valid.tokens'),
      '--destdir',
      join(work, 'other'),
    ];
    await expectFailure('fairseq-preprocess', again, /dict\.txt/);
    expect(await readFile(join(work, 'other', 'dict.txt'), 'utf8')).toBe(before);
  });
});

describe('datastore and index', () => {
  it('a datastore made with another module is refused, with both', () =>
    expectFailure(
      'eval_knn_lm',
      [...evaluateKnn, '--module-to-capture', 'layers[0].final_layer_norm'],
      /layers\[3\]\.final_layer_norm/,
      /layers\[0\]\.final_layer_norm/,
    ));

  it('a wrong --keys-dimension names both', () =>
    expectFailure('eval_knn_lm', [...evaluateKnn, '--keys-dimension', '1024'], /1024/, /256/));

  it('an index of another number of entries names both', async () => {
    const cut = join(work, 'cut');
    await runOk('generate_lm_datastore', [
      data,
      ...model,
      ...blocks,
      ...capture,
      '--datastore',
      cut,
      '--datastore-size',
      '100',
    ]);
    await copyFile(join(datastore, 'faiss.index'), join(cut, 'faiss.index'));
    await expectFailure(
      'eval_knn_lm',
      [...evaluateKnn, '--datastore', cut],
      /\b100\b/,
      /entries/,
      /--overwrite/,
    );
  });

  it('a missing and a broken index name the file', async () => {
    const bare = join(work, 'bare');
    await mkdir(bare);
    for (const name of ['keys.npy', 'values.npy', 'datastore.msgpack'])
      await copyFile(join(datastore, name), join(bare, name));
    await expectFailure('eval_knn_lm', [...evaluateKnn, '--datastore', bare], /faiss\.index/);
    await writeFile(join(bare, 'faiss.index'), 'IxF2 this is no index');
    await expectFailure('eval_knn_lm', [...evaluateKnn, '--datastore', bare], /faiss\.index/);
  });

  it('a datastore without a manifest says which flags it needs, and works with them', async () => {
    const python = join(work, 'python');
    await mkdir(python);
    for (const name of ['keys.npy', 'values.npy', 'faiss.index'])
      await copyFile(join(datastore, name), join(python, name));
    await expectFailure('eval_knn_lm', [...evaluateKnn, '--datastore', python], /datastore-size/);
    const rows = (await readFile(join(python, 'values.npy'))).length / 8;
    await runOk('eval_knn_lm', [
      ...evaluateKnn,
      '--datastore',
      python,
      '--datastore-size',
      String(rows),
      '--keys-dimension',
      '256',
      '--keys-dtype',
      'fp16',
    ]);
  });

  it('more centroids than keys is an error, not a crash', () =>
    expectFailure(
      'build_faiss_index',
      ['--datastore', datastore, '--overwrite', '--ncentroids', '100000'],
      /100000/,
    ));

  it('--recompute-distance without --load-keys says so', () =>
    expectFailure('eval_knn_lm', [...evaluateKnn, '--recompute-distance'], /--load-keys/));

  it('lambda out of range is an error', () =>
    expectFailure('eval_knn_lm', [...evaluateKnn, '--lambda-value', '1.5'], /1\.5/));
});

describe('the command line', () => {
  it.each([
    ['fairseq-eval-lm', [data, '--path', 'x', '--context-windw', '3'], /--context-window/],
    ['fairseq-preprocess', ['--only_source'], /--only-source/],
    ['build_faiss_index', ['--datastore', 'x', '--nprobes', '3'], /--nprobe/],
    ['generate_lm_datastore', [data, '--path', 'x', '--datastore', 'd', '--keys-dtype', 'fp8'], /fp8/],
    ['eval_knn_lm', [data, '--path', 'x', '--datastore', 'd', '--num-neighbors', 'many'], /many/],
    ['eval_knn_lm', [data], /--path/],
    ['knn-lm', ['tunee'], /tune/],
  ])('%s %j is a usage error that helps', async (program, args, pattern) => {
    const { status, stderr } = await run(program, args);
    expect(status).toBe(2);
    expect(stderr).toMatch(/usage:/);
    expect(stderr).toMatch(pattern);
  });

  it('abbreviations work for build_faiss_index, as in plain argparse, and not for fairseq commands', async () => {
    const abbreviated = await run('build_faiss_index', [
      '--datastore',
      datastore,
      '--index-t',
      'IndexFlatL2',
    ]);
    expect(abbreviated.status).toBe(0);
    expect((await run('fairseq-eval-lm', [data, '--pat', 'x'])).status).toBe(2);
  });

  it('--help prints the options and ends with 0', async () => {
    const { status, stdout } = await run('eval_knn_lm', ['--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/--lambda-value/);
  });
});
