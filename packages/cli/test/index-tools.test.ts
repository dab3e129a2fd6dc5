// build_faiss_index with factory strings and interrupted; knn-lm index-stats.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatastoreWriter } from '@knn-lm/datastore';
import { repositoryFile } from '@knn-lm/testing';
import { beforeAll, describe, expect, it } from 'vitest';
import { run, runOk, scratchFolder } from './commands.js';

const work = await scratchFolder();
const datastore = join(work, 'datastore');
const index = join(datastore, 'faiss.index');
const rows = 60_000;
const dimension = 32;

beforeAll(async () => {
  let state = 1;
  const random = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
  const centers = Float32Array.from({ length: 50 * dimension }, () => random() * 4);
  const keys = new Float32Array(rows * dimension);
  for (let row = 0; row < rows; row++) {
    const center = Math.floor(random() * 50) * dimension;
    for (let i = 0; i < dimension; i++) keys[row * dimension + i] = centers[center + i] + random();
  }
  const writer = await DatastoreWriter.create(datastore, { rows, dimension, dtype: 'fp32', identity: {} });
  await writer.append(keys, new Int32Array(rows));
  await writer.finish();
  await writer.close();
});

/** Removes the index, and its training unless it is to stay. */
async function removeIndex(training = true): Promise<void> {
  const names = ['faiss.index', 'faiss.index.json'];
  if (training) names.push('faiss.trained_index', 'faiss.trained_index.json');
  for (const name of names) await rm(join(datastore, name), { force: true });
}

const build = ['--datastore', datastore, '--num-trained-keys', '5000', '--threads', '1'];

/** Sends Ctrl-C's signal as soon as the command says that it adds keys. */
async function interruptWhileAdding(
  args: readonly string[],
): Promise<{ status: number | null; stderr: string }> {
  const script = repositoryFile('packages', 'cli', 'bin', 'build_faiss_index.js');
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (text.includes('Adding total')) child.kill('SIGINT');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve) => child.on('close', (status) => resolve({ status, stderr })));
}

describe('build_faiss_index', () => {
  it('goes on after Ctrl-C and gives the same bytes', async () => {
    const args = [...build, '--ncentroids', '64', '--code-size', '16', '--batch-size', '20'];
    await runOk('build_faiss_index', args);
    const whole = await readFile(index);
    await removeIndex(false);

    const stopped = await interruptWhileAdding(args);
    expect(stopped.status).toBe(130);
    expect(stopped.stderr).toMatch(/stopped after adding [\d,]+ of 60,000 keys; they are saved/);
    expect(stopped.stderr).toContain('The same command goes on from there.');
    expect(existsSync(index)).toBe(false);

    const resumed = await runOk('build_faiss_index', args);
    expect(resumed.stdout).toMatch(/Going on with the index of an interrupted build, which holds \d+ keys/);
    expect((await readFile(index)).equals(whole)).toBe(true);
    expect(existsSync(`${index}.partial`)).toBe(false);
  });

  it('takes a factory string, and says what is wrong with one', async () => {
    await removeIndex();
    await runOk('build_faiss_index', [...build, '--index-type', 'IVF64,SQfp16', '--nprobe', '16']);
    const record = JSON.parse(await readFile(`${index}.json`, 'utf8')) as Record<string, unknown>;
    expect(record).toMatchObject({ type: 'IVF64,SQfp16', rows, dimension });
    await removeIndex();
    const wrong = await run('build_faiss_index', [...build, '--index-type', 'IVF64,PQ5np']);
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toContain('no index of type "IVF64,PQ5np"');
    expect(wrong.stderr).toContain('[KNN_INDEX_TYPE]');
  });
});

describe('an index in shards and on disk', () => {
  const args = [...build, '--ncentroids', '64', '--code-size', '16'];
  const clear = async (): Promise<void> => {
    for (const name of await readdir(datastore)) {
      if (name.startsWith('faiss.index')) await rm(join(datastore, name));
    }
  };

  it('is trained, built and merged in steps, to the bytes of a single build', async () => {
    await removeIndex();
    await runOk('build_faiss_index', [...args, '--train-only']);
    expect(existsSync(index)).toBe(false);
    await runOk('build_faiss_index', args);
    const whole = await readFile(index);
    await clear();
    for (const id of ['2', '0', '1']) {
      await runOk('build_faiss_index', [...args, '--num-shards', '3', '--shard-id', id]);
    }
    const sharded = await runOk('knn-lm', ['index-stats', datastore, '--queries', '5', '--map']);
    expect(sharded.stdout).toContain('3 shards of IndexIVFPQ: 60000 vectors');
    expect((await runOk('knn-lm', ['verify', datastore])).stdout).toMatch(/index +│ ok +│ 3 shards of/);
    await runOk('knn-lm', ['merge-index', datastore, '--remove-shards']);
    expect((await readFile(index)).equals(whole)).toBe(true);
  });

  it('has its lists in a file of their own, which verify and index-stats know', async () => {
    await clear();
    await runOk('build_faiss_index', [...args, '--on-disk-lists']);
    const lists = (await readdir(datastore)).find((name) => name.endsWith('.ivfdata')) ?? '';
    const statistics = await runOk('knn-lm', ['index-stats', datastore, '--queries', '5']);
    expect(statistics.stdout).toContain('IndexIVFPQ: 60000 vectors');
    expect((await runOk('knn-lm', ['verify', datastore])).stdout).toMatch(/index +│ ok/);
    const bytes = await readFile(join(datastore, lists));
    bytes[1000] ^= 1;
    await writeFile(join(datastore, lists), bytes);
    expect((await run('knn-lm', ['verify', datastore])).stdout).toContain(`${lists}: not what was built`);
    await truncate(join(datastore, lists), 1000);
    const cut = await run('knn-lm', ['index-stats', datastore, '--queries', '5']);
    expect(cut.stderr).toContain('[FAISS_LISTS_FILE]');
  });
});

describe('build_faiss_index --append', () => {
  it('adds what was appended to the datastore', async () => {
    const folder = join(work, 'growing');
    const shape = { dimension, dtype: 'fp32' as const };
    const keys = Float32Array.from({ length: 2000 * dimension }, (_, i) => (i * 7919) % 101);
    const first = await DatastoreWriter.create(folder, { ...shape, rows: 1500, identity: { split: 'a' } });
    await first.append(keys.subarray(0, 1500 * dimension), new Int32Array(1500));
    await first.finish();
    await first.close();
    const args = ['--datastore', folder, '--index-type', 'IVF4,SQ8', '--threads', '1'];
    await runOk('build_faiss_index', args);
    const more = await DatastoreWriter.extend(folder, { ...shape, rows: 500, identity: { split: 'b' } });
    await more.append(keys.subarray(1500 * dimension), new Int32Array(500));
    await more.finish();
    await more.close();
    const refused = await run('build_faiss_index', args);
    expect(refused.stderr).toContain('[KNN_INDEX_SIZE]');
    expect(refused.stderr).toContain('--append');
    await runOk('build_faiss_index', [...args, '--append']);
    const record = JSON.parse(await readFile(join(folder, 'faiss.index.json'), 'utf8')) as object;
    expect(record).toMatchObject({ rows: 2000, appended: [1500, 500] });
    expect((await runOk('knn-lm', ['verify', folder])).stdout).toContain('nothing is wrong');
    const found = await runOk('knn-lm', ['index-stats', folder, '--queries', '20', '--nprobe', '4']);
    expect(found.stdout).toContain(': 2000 vectors');
  });
});

describe('knn-lm index-stats', () => {
  it('prints balance, memory and recall', async () => {
    await removeIndex();
    await runOk('build_faiss_index', [...build, '--index-type', 'IVF64,SQfp16', '--nprobe', '16']);
    const args = [
      ...['index-stats', datastore, '--queries', '20'],
      ...['--num-neighbors', '1', '50', '--nprobe', '1', '64'],
    ];
    const { stdout } = await runOk('knn-lm', args);
    expect(stdout).toContain(
      'IVF64,SQfp16: IndexIVF: 60000 vectors of 32 dimensions, 64 centroids, nprobe 16',
    );
    expect(stdout).toMatch(/file [\d.]+ MB \(7[2-9]\.\d bytes a key\), memory [\d.]+ MB/);
    expect(stdout).toMatch(/64 lists of 937\.5 keys on average, \d+ empty; imbalance \d\.\d\d/);
    expect(stdout).toMatch(/least.*median.*most/);
    const recalls = [...stdout.matchAll(/│ +(1|64) │ +(\d\.\d{3}) │ +(\d\.\d{3}) │/g)];
    expect(recalls.map(([, nprobe]) => nprobe)).toEqual(['1', '64']);
    expect(Number(recalls[1][3])).toBeGreaterThan(0.99);
    expect(Number(recalls[0][3])).toBeLessThanOrEqual(Number(recalls[1][3]));
  });

  it('refuses an index that was changed, unless told to trust it, and wrong numbers', async () => {
    const changed = await readFile(index);
    const args = ['index-stats', datastore, '--queries', '0'];
    changed[changed.length - 1] ^= 1;
    await writeFile(index, changed);
    const refused = await run('knn-lm', args);
    expect(refused.status).toBe(1);
    expect(refused.stderr).toContain('[KNN_INDEX_UNTRUSTED]');
    await runOk('knn-lm', [...args, '--trust-index']);
    expect((await run('knn-lm', [...args, '--nprobe', '0'])).status).toBe(2);
  });
});
