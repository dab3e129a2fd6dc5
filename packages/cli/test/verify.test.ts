// knn-lm verify: what it checks, what it prints, and its exit status.
import { copyFile, cp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const data = join(work, 'data-bin');
const datastore = join(work, 'datastore');
const cache = join(work, 'cache');
const model = ['--path', repositoryFile('demo', 'model.pt'), '--model-cache', cache];

beforeAll(async () => {
  const text = await readFile(repositoryFile('demo', 'text', 'speeches.valid.tokens'), 'utf8');
  await writeFile(join(work, 'text'), text.split('\n').slice(0, 30).join('\n') + '\n');
  const dictionary = ['--srcdict', repositoryFile('demo', 'dict.txt')];
  await runOk('fairseq-preprocess', [
    ...['--only-source', ...dictionary],
    ...['--validpref', join(work, 'text'), '--destdir', data],
  ]);
  await runOk('generate_lm_datastore', [
    ...[data, ...model, '--gen-subset', 'valid', '--tokens-per-sample', '256', '--context-window', '128'],
    ...[
      '--max-tokens',
      '256',
      '--datastore',
      datastore,
      '--module-to-capture',
      'layers[-1].final_layer_norm',
    ],
  ]);
  await runOk('build_faiss_index', ['--datastore', datastore, '--index-type', 'IndexFlatL2']);
});

/** Lines of the table: what was checked, and the result. */
function results(stdout: string): Record<string, string> {
  const rows = [...stdout.matchAll(/│ ([^│]+?) +│ ([^│]+?) +│/g)].map(([, what, result]) => [what, result]);
  return Object.fromEntries(rows.slice(1)) as Record<string, string>;
}

/** A copy of the datastore to damage. */
async function copy(name: string): Promise<string> {
  const folder = join(work, name);
  await cp(datastore, folder, { recursive: true });
  return folder;
}

describe('knn-lm verify', () => {
  it('checks a good one against data, model and index, with status 0', async () => {
    const { stdout } = await runOk('knn-lm', ['verify', datastore, '--data', data, ...model]);
    expect(results(stdout)).toEqual({
      ...{ manifest: 'ok', sizes: 'ok', checksums: 'ok', keys: 'ok', values: 'ok' },
      ...{ dictionary: 'ok', 'text (valid)': 'ok', model: 'ok', index: 'ok' },
    });
    expect(stdout).toMatch(/nothing is wrong\n$/);
  });

  it('a flipped bit: status 1, the file and the rows', async () => {
    const folder = await copy('flipped');
    const keys = await readFile(join(folder, 'keys.npy'));
    keys[keys.length >> 1] ^= 4;
    await writeFile(join(folder, 'keys.npy'), keys);
    const { status, stdout } = await run('knn-lm', ['verify', folder]);
    expect(status).toBe(1);
    expect(results(stdout)).toMatchObject({ checksums: 'WRONG', sizes: 'ok', keys: 'ok' });
    expect(stdout).toMatch(/flipped\/keys\.npy: rows 0 to \d+ do not have the checksum/);
  });

  it('an index and weights of another size', async () => {
    const folder = await copy('swapped');
    await writeFile(join(folder, 'weight.npy'), new Float32Array(7));
    for (const name of ['keys.npy', 'values.npy'])
      await truncate(join(folder, name), name === 'keys.npy' ? 5120 : 80);
    await rm(join(folder, 'datastore.msgpack'));
    const flags = ['--datastore-size', '10', '--keys-dimension', '256'];
    const { status, stdout } = await run('knn-lm', ['verify', folder, ...flags]);
    expect(status).toBe(1);
    expect(results(stdout)).toMatchObject({
      manifest: '-',
      checksums: '-',
      index: 'WRONG',
      weights: 'WRONG',
    });
    expect(stdout).toMatch(/the datastore has 10 of 256/);
  });

  it('another dictionary and text: both fingerprints are shown', async () => {
    const other = join(work, 'other-bin');
    await copyFile(join(work, 'text'), join(work, 'other'));
    await writeFile(join(work, 'other'), 'another text\n', { flag: 'a' });
    const text = ['--only-source', '--trainpref', join(work, 'other'), '--validpref', join(work, 'other')];
    await runOk('fairseq-preprocess', [...text, '--destdir', other]);
    const { status, stdout } = await run('knn-lm', ['verify', datastore, '--data', other]);
    expect(status).toBe(1);
    expect(results(stdout)).toMatchObject({ dictionary: 'WRONG', 'text (valid)': 'WRONG', values: 'WRONG' });
    expect(stdout).toMatch(/the manifest names [0-9a-f]{16}, this is [0-9a-f]{16}/);
  });

  it('none at all', async () => {
    const { status, stderr } = await run('knn-lm', ['verify', join(work, 'nowhere')]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/values\.npy does not exist/);
  });
});
