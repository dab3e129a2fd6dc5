// merge_datastore: shards give the bytes of a single run; other datastores are joined in order.
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { messages, run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const data = join(work, 'data-bin');
const model = ['--path', repositoryFile('demo', 'model.pt'), '--model-cache', join(work, 'cache')];
const generate = [
  ...[data, ...model, '--gen-subset', 'valid', '--module-to-capture', 'layers[-1].final_layer_norm'],
  ...['--tokens-per-sample', '256'],
];
const names = ['keys.npy', 'values.npy', 'datastore.msgpack'];

beforeAll(async () => {
  await runOk('fairseq-preprocess', [
    ...['--only-source', '--srcdict', repositoryFile('demo', 'dict.txt')],
    ...['--validpref', repositoryFile('demo', 'text', 'speeches.valid.tokens'), '--destdir', data],
  ]);
});

async function expectEqual(folder: string, expected: string): Promise<void> {
  for (const name of names) {
    const [ours, theirs] = await Promise.all([readFile(join(folder, name)), readFile(join(expected, name))]);
    expect(ours.equals(theirs), name).toBe(true);
  }
}

describe('shards', () => {
  it.each([
    // Whole blocks without context: the short last block is evaluated first, and is the last entry all the same.
    ['no context window', ['--max-tokens', '1024'], 3],
    ['a context window', ['--context-window', '128', '--max-tokens', '1024'], 4],
    ['whole lines', ['--sample-break-mode', 'complete', '--max-tokens', '700'], 2],
  ])('%s: the merge of all is the single run, byte for byte', async (name, flags, count) => {
    const folder = join(work, name.replaceAll(' ', '-'));
    const whole = join(folder, 'whole');
    await runOk('generate_lm_datastore', [...generate, ...flags, '--datastore', whole]);
    const shards = Array.from({ length: count }, (_, i) => join(folder, `shard-${i}`));
    for (const [i, shard] of shards.entries()) {
      const place = ['--num-shards', String(count), '--shard-id', String(i)];
      await runOk('generate_lm_datastore', [...generate, ...flags, ...place, '--datastore', shard]);
    }
    const merged = join(folder, 'merged');
    const finished = await runOk('merge_datastore', [
      ...['--datastore-list', ...shards],
      ...['--merged-datastore', merged],
    ]);
    const rows = (await readFile(join(whole, 'values.npy'))).length / 8;
    expect(messages(finished)).toContain(`Merged datastore size: ${rows}`);
    await expectEqual(merged, whole);
    const verified = await runOk('knn-lm', ['verify', merged, '--data', data]);
    expect(verified.stdout).toMatch(/nothing is wrong/);
  });

  it('are told apart, and must be all there in order', async () => {
    const [a, b] = [0, 1].map((i) => join(work, 'a-context-window', `shard-${i}`));
    const resumed = await run('generate_lm_datastore', [
      ...[...generate, '--context-window', '128', '--max-tokens', '1024', '--datastore', a],
      ...['--num-shards', '4', '--shard-id', '1'],
    ]);
    expect(resumed.status).toBe(1);
    expect(resumed.stderr).toMatch(/shardId: 0 on disk, 1 now/);
    const merge = ['--merged-datastore', join(work, 'some')];
    const some = await run('merge_datastore', ['--datastore-list', b, a, ...merge]);
    expect(some.status).toBe(1);
    expect(some.stderr).toMatch(/shards 1, 0 of 4 are not all of them, in order/);
    await runOk('merge_datastore', ['--datastore-list', b, a, ...merge, '--force']);
    const values = async (folder: string) => readFile(join(folder, 'values.npy'));
    expect(await values(join(work, 'some'))).toEqual(Buffer.concat([await values(b), await values(a)]));
  });
});

describe('datastores of the Python tools', () => {
  const shape = [
    '--datastore-size-list',
    '2',
    '3',
    '--keys-dtype-list',
    'fp32',
    'fp16',
    '--keys-dimension',
    '2',
  ];
  const lists = () => ['--datastore-list', join(work, 'p0'), join(work, 'p1')];

  beforeAll(async () => {
    for (const [i, keys] of [
      Float32Array.of(1, 2, 0.1, 4),
      Uint16Array.of(0x3c00, 0, 1, 2, 3, 4),
    ].entries()) {
      const folder = join(work, `p${i}`);
      await mkdir(folder);
      await writeFile(join(folder, 'keys.npy'), keys);
      await writeFile(
        join(folder, 'values.npy'),
        BigInt64Array.from({ length: 2 + i }, (_, j) => BigInt(10 * i + j)),
      );
    }
  });

  it('are joined with the flags of the Python tool, in either precision', async () => {
    await runOk('merge_datastore', [...lists(), ...shape, '--merged-datastore', join(work, 'fp16')]);
    const keys = new Uint16Array(new Uint8Array(await readFile(join(work, 'fp16', 'keys.npy'))).buffer);
    expect([...keys]).toEqual([0x3c00, 0x4000, 0x2e66, 0x4400, 0x3c00, 0, 1, 2, 3, 4]);
    const values = new BigInt64Array(new Uint8Array(await readFile(join(work, 'fp16', 'values.npy'))).buffer);
    expect([...values]).toEqual([0n, 1n, 10n, 11n, 12n]);
    const wide = ['--merged-datastore', join(work, 'fp32'), '--merged-keys-dtype', 'fp32'];
    await runOk('merge_datastore', [...lists(), ...shape, ...wide]);
    const wideKeys = new Float32Array(new Uint8Array(await readFile(join(work, 'fp32', 'keys.npy'))).buffer);
    expect([...wideKeys.slice(0, 6)]).toEqual([1, 2, Math.fround(0.1), 4, 1, 0]);
    const again = await runOk('merge_datastore', [...lists(), ...shape, ...wide]);
    expect(again.stdout).toMatch(/finished.*kept.*--overwrite/);
  });

  it('need their flags, one for each datastore', async () => {
    const target = ['--merged-datastore', join(work, 'none')];
    const without = await run('merge_datastore', [...lists(), ...target]);
    expect(without.status).toBe(1);
    expect(without.stderr).toMatch(/has no manifest.*rows, dimension are not given/s);
    const short = await run('merge_datastore', [...lists(), '--datastore-size-list', '2', ...target]);
    expect(short.status).toBe(2);
    expect(short.stderr).toMatch(/--datastore-size-list: 1 values for 2 datastores/);
  });

  it('a merge into one of them is refused', async () => {
    const into = await run('merge_datastore', [
      ...lists(),
      ...shape,
      '--merged-datastore',
      join(work, 'p0'),
      '--overwrite',
    ]);
    expect(into.status).toBe(1);
    expect(into.stderr).toMatch(/p0 is the datastore that would be read/);
  });
});

it('datastores of different dictionaries are refused unless forced', async () => {
  const whole = join(work, 'whole-lines', 'whole');
  const other = join(work, 'other');
  await cp(data, join(work, 'other-bin'), { recursive: true });
  const dictionary = await readFile(join(data, 'dict.txt'), 'utf8');
  await writeFile(join(work, 'other-bin', 'dict.txt'), dictionary.replace(/^\S+/, 'qzqzq'));
  const flags = ['--sample-break-mode', 'complete', '--max-tokens', '700', '--datastore-size', '500'];
  await runOk('generate_lm_datastore', [
    join(work, 'other-bin'),
    ...generate.slice(1),
    ...flags,
    '--datastore',
    other,
  ]);
  const merge = ['--datastore-list', whole, other, '--merged-datastore', join(work, 'forced')];
  const refused = await run('merge_datastore', merge);
  expect(refused.status).toBe(1);
  expect(refused.stderr).toMatch(
    /dictionaryFingerprint is [0-9a-f]{64} in .*whole, but [0-9a-f]{64} in .*other/,
  );
  await rm(join(work, 'forced'), { recursive: true, force: true });
  await runOk('merge_datastore', [...merge, '--force']);
});
