// dedup_datastore, prune_datastore and reduce_datastore_dims, as the Python tools are called, and what they give.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { lossOf, messages, run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const data = join(work, 'data-bin');
const datastore = join(work, 'datastore');
const model = ['--path', repositoryFile('demo', 'model.pt'), '--model-cache', join(work, 'cache')];
const blocks = ['--tokens-per-sample', '256', '--context-window', '128', '--max-tokens', '256'];
const capture = ['--module-to-capture', 'layers[-1].final_layer_norm'];

beforeAll(async () => {
  const text = await readFile(repositoryFile('demo', 'text', 'speeches.valid.tokens'), 'utf8');
  await writeFile(join(work, 'text'), text.split('\n').slice(0, 40).join('\n') + '\n');
  await runOk('fairseq-preprocess', [
    ...['--only-source', '--srcdict', repositoryFile('demo', 'dict.txt')],
    ...['--validpref', join(work, 'text'), '--destdir', data],
  ]);
  const generate = [data, ...model, ...blocks, ...capture, '--gen-subset', 'valid'];
  await runOk('generate_lm_datastore', [...generate, '--datastore', datastore]);
  await runOk('build_faiss_index', ['--datastore', datastore, '--index-type', 'IndexFlatL2']);
});

const numbers = async (path: string) => new BigInt64Array(new Uint8Array(await readFile(path)).buffer);

describe('dedup_datastore', () => {
  it('drops equal key and value, as called without a manifest', async () => {
    const folder = join(work, 'python');
    await mkdir(folder);
    await writeFile(join(folder, 'keys.npy'), Uint16Array.of(1, 2, 3, 4, 1, 2, 1, 2));
    await writeFile(join(folder, 'values.npy'), BigInt64Array.of(5n, 5n, 6n, 5n));
    const deduped = join(work, 'deduped');
    const finished = await runOk('dedup_datastore', [
      ...['--datastore', folder, '--datastore-size', '4', '--keys-dimension', '2', '--keys-dtype', 'fp16'],
      ...['--deduped-datastore', deduped],
    ]);
    expect(messages(finished)).toContain('Deduped datastore size: 3 (1 entries left out)');
    expect([...(await numbers(join(deduped, 'values.npy')))]).toEqual([5n, 5n, 6n]);
    const verified = await runOk('knn-lm', ['verify', deduped]);
    expect(verified.stdout).toMatch(/nothing is wrong/);
  });
});

describe('prune_datastore', () => {
  it("random_pruning takes numpy's sample", async () => {
    const pruned = join(work, 'sample');
    const prune = ['--method', 'random_pruning', '--datastore', datastore, '--pruned-datastore', pruned];
    await runOk('prune_datastore', [...prune, '--pruned-datastore-size', '5', '--seed', '3']);
    const all = await numbers(join(datastore, 'values.npy'));
    const sampled = await numbers(join(pruned, 'values.npy'));
    expect(sampled).toHaveLength(5);
    const keys = await readFile(join(datastore, 'keys.npy'));
    const chosen = await readFile(join(pruned, 'keys.npy'));
    let row = -1;
    for (let i = 0; i < 5; i++) {
      row = keys.indexOf(chosen.subarray(i * 512, (i + 1) * 512), (row + 1) * 512) / 512;
      expect(all[row]).toBe(sampled[i]);
    }
    const again = await runOk('prune_datastore', [...prune, '--pruned-datastore-size', '5', '--seed', '3']);
    expect(again.stdout).toMatch(/kept.*--overwrite/);
    const large = await run('prune_datastore', [...prune, '--pruned-datastore-size', '999999']);
    expect(large.status).toBe(1);
    expect(large.stderr).toMatch(/--pruned-datastore-size is 999999, but the datastore has \d+ entries/);
    expect((await run('prune_datastore', prune)).status).toBe(2);
  });

  it('greedy_merge writes weights that evaluation uses', async () => {
    const pruned = join(work, 'merged');
    const prune = ['--method', 'greedy_merge', '--datastore', datastore, '--pruned-datastore', pruned];
    const finished = await runOk('prune_datastore', [
      ...prune,
      '--num-neighbors',
      '64',
      '--use-gpu',
      '--knn-fp16',
    ]);
    expect(messages(finished).filter((line) => /CPU is used/.test(line))).toHaveLength(1);
    const rows = (await numbers(join(pruned, 'values.npy'))).length;
    const weights = new Float32Array(new Uint8Array(await readFile(join(pruned, 'weight.npy'))).buffer);
    const whole = (await numbers(join(datastore, 'values.npy'))).length;
    expect(weights).toHaveLength(rows);
    expect(rows).toBeLessThan(whole);
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBe(whole);
    await runOk('build_faiss_index', ['--datastore', pruned, '--index-type', 'IndexFlatL2']);
    const evaluate = [
      ...[data, ...model, ...blocks, ...capture, '--gen-subset', 'valid', '--score-knn-lm'],
      ...[
        '--num-neighbors',
        '64',
        '--temperature-value',
        '20',
        '--lambda-value',
        '0.5',
        '--datastore',
        pruned,
      ],
    ];
    const plain = lossOf(await runOk('eval_knn_lm', evaluate));
    const weighted = lossOf(await runOk('eval_knn_lm', [...evaluate, '--load-value-weights']));
    expect(weighted.lossBase2).not.toBe(plain.lossBase2);
  });
});

describe('reduce_datastore_dims', () => {
  it('writes the principal components and their transform', async () => {
    const reduced = join(work, 'reduced');
    const reduce = ['--method', 'PCA', '--datastore', datastore, '--transformed-datastore', reduced];
    const finished = await runOk('reduce_datastore_dims', [...reduce, '--reduced-keys-dimension', '32']);
    expect(finished.stdout).toMatch(/32 of 256 dimensions keep [5-9]\d\.\d\d % of the variance/);
    const rows = (await numbers(join(reduced, 'values.npy'))).length;
    expect((await readFile(join(reduced, 'keys.npy'))).length).toBe(rows * 32 * 2);
    const verified = await runOk('knn-lm', ['verify', reduced, '--data', data, ...model]);
    expect(verified.stdout).toMatch(/│ transform +│ ok/);
    await writeFile(join(reduced, 'transform.msgpack'), 'damaged');
    const damaged = await run('knn-lm', ['verify', reduced]);
    expect(damaged.status).toBe(1);
    expect(damaged.stdout).toMatch(/│ transform +│ WRONG/);
  });

  it('more dimensions than there are', async () => {
    const reduce = [
      '--method',
      'PCA',
      '--datastore',
      datastore,
      '--transformed-datastore',
      join(work, 'more'),
    ];
    const { status, stderr } = await run('reduce_datastore_dims', [
      ...reduce,
      '--reduced-keys-dimension',
      '257',
    ]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/keys of 256 dimensions cannot be reduced to 257/);
  });
});
