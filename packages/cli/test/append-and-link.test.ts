// A text appended to a datastore, and shards read as one without copying them: the bytes, and what evaluates on them.
import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { lossOf, messages, run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const at = (name: string) => join(work, name);
const data = at('data-bin');
const capture = ['--module-to-capture', 'layers[-1].final_layer_norm'];
const model = ['--path', repositoryFile('demo', 'model.pt'), '--model-cache', at('cache'), ...capture];
const blocks = ['--tokens-per-sample', '128', '--context-window', '64', '--max-tokens', '256'];
const generate = (split: string, folder: string, ...more: string[]) => [
  ...[data, ...model, ...blocks, '--gen-subset', split, '--datastore', folder, ...more],
];
const evaluate = (folder: string, ...more: string[]) => [
  ...[data, ...model, ...blocks, '--gen-subset', 'test1', '--score-knn-lm', '--num-neighbors', '16'],
  ...['--load-keys', '--recompute-distance', '--temperature-value', '20', '--datastore', folder, ...more],
];
const bytesOf = (folder: string, name: string) => readFile(join(folder, name));

beforeAll(async () => {
  const text = repositoryFile('demo', 'text', 'speeches.valid.tokens');
  const lines = (await readFile(text, 'utf8')).split('\n');
  const part = async (name: string, begin: number, end: number) => {
    await writeFile(at(`${name}.tokens`), lines.slice(begin, end).join('\n') + '\n');
    return at(`${name}.tokens`);
  };
  const dictionary = repositoryFile('demo', 'dict.txt');
  const texts = [
    ...['--trainpref', await part('train', 0, 20), '--validpref', await part('valid', 20, 35)],
    ...['--testpref', `${await part('test', 35, 50)},${await part('test1', 50, 56)}`],
  ];
  await runOk('fairseq-preprocess', ['--only-source', '--srcdict', dictionary, ...texts, '--destdir', data]);
  await runOk('generate_lm_datastore', generate('train', at('train')));
});

describe('generate_lm_datastore --append', () => {
  it('puts another text behind the first, however often it is killed; the old entries stay readable', async () => {
    await runOk('generate_lm_datastore', generate('valid', at('alone')));
    const [before, alone] = [at('train'), at('alone')];
    const folder = at('appended');
    await runOk('merge_datastore', ['--datastore-list', before, '--merged-datastore', folder]);
    await runOk('build_faiss_index', ['--datastore', folder, '--index-type', 'IVF4,Flat']);
    let kills = 0;
    for (const delayMs of [0, 150, 400]) {
      let seen = false;
      const finished = await run(
        'generate_lm_datastore',
        [...generate('valid', folder, '--append'), '--json'],
        {
          onStderr: (text, kill) => {
            if (!seen && text.includes('parameters), module')) setTimeout(() => kill('SIGKILL'), delayMs);
            seen ||= text.includes('parameters), module');
          },
        },
      );
      if (finished.status === 0) break;
      expect(finished.status).toBeNull();
      kills++;
      const old = await bytesOf(before, 'keys.npy');
      expect((await bytesOf(folder, 'keys.npy')).subarray(0, old.length).equals(old)).toBe(true);
      const verified = await run('knn-lm', ['verify', folder, '--data', data]);
      expect(verified.stdout).toMatch(/checksums *│ ok/);
    }
    expect(kills).toBeGreaterThan(0);
    const appended = await run('generate_lm_datastore', [...generate('valid', folder, '--append'), '--json']);
    const result = JSON.parse(appended.stdout) as { texts: object[]; rows: number };
    for (const name of ['keys.npy', 'values.npy'])
      expect(
        (await bytesOf(folder, name)).equals(
          Buffer.concat([await bytesOf(before, name), await bytesOf(alone, name)]),
        ),
      ).toBe(true);
    const rows = (await bytesOf(before, 'values.npy')).length / 8;
    expect(result.texts).toMatchObject([
      { split: 'train', first_row: 0, rows },
      { split: 'valid', first_row: rows },
    ]);
    const early = await run('eval_knn_lm', evaluate(folder));
    expect(early.status).toBe(1);
    expect(early.stderr).toMatch(/faiss\.index has \d+ entries, but the datastore has \d+/);
    await runOk('build_faiss_index', ['--datastore', folder, '--index-type', 'IVF4,Flat', '--append']);
    lossOf(await runOk('eval_knn_lm', evaluate(folder)));
    const verified = await runOk('knn-lm', ['verify', folder, '--data', data, ...model.slice(0, 4)]);
    expect(verified.stdout).toMatch(/index *│ ok/);
    expect(verified.stdout).toMatch(/manifest *│ ok *│ finished, of 2 texts/);
    expect(verified.stdout).toMatch(/text \(valid\) *│ ok/);
    const again = await runOk('generate_lm_datastore', generate('valid', folder, '--append'));
    expect(again.stdout).toMatch(/holds this datastore already, finished: .* of 2 texts; it is kept/);
  });

  it('refuses what cannot be appended', async () => {
    const refused = async (args: readonly string[], status: number, message: RegExp) => {
      const finished = await run('generate_lm_datastore', args);
      expect(finished.status).toBe(status);
      expect(finished.stderr).toMatch(message);
    };
    const folder = at('train');
    await refused(
      generate('valid', folder, '--append', '--overwrite'),
      2,
      /--append: not allowed with argument --ov/,
    );
    await refused(
      generate('valid', folder, '--append', '--num-shards', '2'),
      2,
      /not allowed with argument --num-sh/,
    );
    await refused(generate('valid', at('none'), '--append'), 1, /no datastore in .* to append to/);
    const other = ['--module-to-capture', 'layers[0].final_layer_norm'];
    await refused(generate('valid', folder, '--append', ...other), 1, /moduleToCapture: .* on disk, .* now/);
    expect(await readdir(folder)).toEqual(['datastore.msgpack', 'keys.npy', 'values.npy']);
  });
});

describe('merge_datastore --link', () => {
  it('gives a datastore that everything reads, with the results of a copy', async () => {
    const shards = ['0', '1', '2'].map((id) => at(`shard-${id}`));
    for (const [i, shard] of shards.entries())
      await runOk('generate_lm_datastore', [
        ...generate('train', shard, '--num-shards', '3', '--shard-id', String(i)),
      ]);
    const list = at('list');
    const linked = await run('merge_datastore', [
      ...['--datastore-list', ...shards, '--merged-datastore', list, '--link', '--json'],
    ]);
    const rows = (await bytesOf(at('train'), 'values.npy')).length / 8;
    expect(JSON.parse(linked.stdout)).toMatchObject({ ok: true, linked: true, rows });
    expect(await readdir(list)).toEqual(['datastore.msgpack']);
    await runOk('merge_datastore', ['--datastore-list', list, '--merged-datastore', at('copy')]);
    for (const name of ['keys.npy', 'values.npy'])
      expect((await bytesOf(at('copy'), name)).equals(await bytesOf(at('train'), name))).toBe(true);

    const losses: object[] = [];
    for (const folder of [list, at('train')]) {
      await runOk('build_faiss_index', ['--datastore', folder, '--index-type', 'IVF4,Flat']);
      losses.push(lossOf(await runOk('eval_knn_lm', evaluate(folder))));
      losses.push(lossOf(await runOk('eval_knn_lm', evaluate(folder, '--move-to-memory'))));
    }
    expect(new Set(losses.map((loss) => JSON.stringify(loss))).size).toBe(1);
    const indexes = await Promise.all([list, at('train')].map((folder) => bytesOf(folder, 'faiss.index')));
    expect(indexes[0].equals(indexes[1])).toBe(true);
    const verified = await runOk('knn-lm', ['verify', list, '--data', data]);
    expect(verified.stdout).toMatch(/parts *│ ok *│ 3 folders/);

    // A quick check before each evaluation finds what would be a silently wrong perplexity.
    const path = join(shards[2], 'values.npy');
    const values = await readFile(path);
    values[values.length - 16] ^= 1;
    await writeFile(path, values);
    const refused = await run('eval_knn_lm', evaluate(list));
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/values\.npy: rows \d+ to \d+ do not have the checksum/);
    expect(refused.stderr).toMatch(/knn-lm verify .* says what is damaged/);
    const forced = await runOk('eval_knn_lm', evaluate(list, '--force'));
    expect(messages(forced).join()).toMatch(/do not have the checksum/);
    await rm(join(shards[1], 'datastore.msgpack'));
    expect((await run('eval_knn_lm', evaluate(list))).stderr).toMatch(/shard-1, a part of the datastore/);
  });

  it('refuses keys of another precision', async () => {
    const finished = await run('merge_datastore', [
      ...['--datastore-list', at('train'), '--merged-datastore', at('fp32'), '--link'],
      ...['--merged-keys-dtype', 'fp32'],
    ]);
    expect(finished.status).toBe(2);
    expect(finished.stderr).toMatch(/with --link keys stay as they are, fp16/);
  });
});
