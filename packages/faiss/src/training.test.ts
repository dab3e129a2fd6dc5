import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Progress } from '@knn-lm/common';
import { golden, goldenPath, randomNumbers, singles, withCode } from '../test/golden.js';
import { FaissIndex } from './faiss-index.js';
import { planIvfPqTraining, randomPermutation, trainingRowOrder } from './training-plan.js';
import { TrainingRows } from './training-rows.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-train-'));

async function bytesOf(index: FaissIndex): Promise<Buffer> {
  const path = join(folder, 'bytes.index');
  await index.write(path);
  index.close();
  return readFile(path);
}

/** Largest difference of the centroids in two files of one shape, in parts of the largest number. */
function centroidDifference(a: Buffer, b: Buffer, begin: number): number {
  expect(a.length).toBe(b.length);
  let difference = 0;
  let largest = 0;
  for (let at = begin; at + 4 <= a.length; at += 4) {
    difference = Math.max(difference, Math.abs(a.readFloatLE(at) - b.readFloatLE(at)));
    largest = Math.max(largest, Math.abs(b.readFloatLE(at)));
  }
  return difference / largest;
}

describe('training', () => {
  it('gives the centroids that Python gives', async () => {
    const index = FaissIndex.ivfPq({ dimension: 16, centroids: 12, codeSize: 4, bitsPerIndex: 6 });
    index.nprobe = 3;
    await index.train(singles);
    const mine = await bytesOf(index);
    const theirs = await readFile(goldenPath('ivfpq.trained_index'));
    // Coarse centroids: 12 of 16 floats behind 98 bytes of header. Later ones may differ where rounding does.
    expect(mine.subarray(0, 98)).toEqual(theirs.subarray(0, 98));
    expect(centroidDifference(mine.subarray(98, 98 + 768), theirs.subarray(98, 98 + 768), 0)).toBeLessThan(
      1e-4,
    );
  });

  it('needs only the rows that Faiss would pick itself', async () => {
    // 2 bits a code: 1,024 rows for the codes; 8 centroids: 2,048 rows for the lists; of 5,000.
    const dimension = 8;
    const vectors = randomNumbers(5000 * dimension);
    const make = (): FaissIndex =>
      FaissIndex.ivfPq({ dimension, centroids: 8, codeSize: 2, bitsPerIndex: 2 });
    const whole = make();
    await whole.train(vectors, { threads: 1 });

    const plan = planIvfPqTraining(5000, 8, 2);
    expect(plan).toEqual({ total: 5000, rows: 2048, coarseRows: 2048, productRows: 1024, permuted: true });
    const order = await trainingRowOrder(plan);
    const rows = new TrainingRows(dimension, plan.rows);
    // Backwards, one at a time: the order of filling does not count.
    for (let i = plan.rows - 1; i >= 0; i--) {
      rows.set(vectors.subarray(order[i] * dimension, (order[i] + 1) * dimension), Float64Array.of(i));
    }
    const planned = make();
    await planned.trainOn(rows, plan, { threads: 1 });
    rows.close();
    expect(await bytesOf(planned)).toEqual(await bytesOf(whole));
  });

  it('plans all rows when one of the quantizers needs them', () => {
    expect(planIvfPqTraining(100_000, 4096, 8)).toMatchObject({ rows: 100_000, permuted: false });
    expect(planIvfPqTraining(60_000, 16, 8)).toMatchObject({ rows: 60_000, permuted: false });
    expect(planIvfPqTraining(40_000_000, 4096, 8)).toEqual({
      total: 40_000_000,
      rows: 1_048_576,
      coarseRows: 1_048_576,
      productRows: 65_536,
      permuted: true,
    });
  });

  it('draws Faiss’s permutation', async () => {
    for (const { n, seed, prefix, sum } of golden.permutations) {
      const found = await randomPermutation(n, Math.min(n, 1000), seed);
      expect([...found.subarray(0, 20)]).toEqual(prefix);
      expect(found.reduce((total, value) => total + value, 0)).toBe(sum);
      if (n <= 1000) expect([...found].sort((a, b) => a - b)).toEqual([...found.keys()]);
    }
  });

  it('counts iterations, all of them', async () => {
    const seen: Progress[] = [];
    const index = FaissIndex.ivfPq({ dimension: 16, centroids: 8, codeSize: 4, bitsPerIndex: 4 });
    await index.train(singles, { onProgress: (progress) => seen.push(progress) });
    // 10 of the lists and 25 of each of 4 codes.
    expect(seen.at(0)).toEqual({ stage: 'train', done: 0, total: 110, unit: 'iterations' });
    expect(seen.at(-1)).toEqual({ stage: 'train', done: 110, total: 110, unit: 'iterations' });
    index.close();
  });

  it('stops when asked to, and can be trained afterwards', async () => {
    const dimension = 64;
    const vectors = randomNumbers(dimension * 20_000);
    const index = FaissIndex.ivfPq({ dimension, centroids: 64, codeSize: 32 });
    const controller = new AbortController();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    setTimeout(() => controller.abort(), 50);
    const start = performance.now();
    await expect(index.train(vectors, { signal: controller.signal })).rejects.toEqual(withCode('CANCELLED'));
    clearInterval(timer);
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(ticks).toBeGreaterThan(0);
    expect(index.isTrained).toBe(false);
    await expect(index.train(vectors, { signal: controller.signal })).rejects.toEqual(withCode('CANCELLED'));
    const other = FaissIndex.ivfPq({ dimension, centroids: 4, codeSize: 2, bitsPerIndex: 2 });
    await other.train(vectors);
    expect(other.isTrained).toBe(true);
    const small = vectors.subarray(0, 300 * dimension);
    await index.train(small, { threads: 1 });
    const fresh = FaissIndex.ivfPq({ dimension, centroids: 64, codeSize: 32 });
    await fresh.train(small, { threads: 1 });
    expect(await bytesOf(index)).toEqual(await bytesOf(fresh));
    other.close();
  });

  it('refuses what Faiss would end with, before it begins', async () => {
    const index = FaissIndex.ivfPq({ dimension: 16, centroids: 12, codeSize: 4 });
    await expect(index.train(singles.subarray(0, 11 * 16))).rejects.toEqual(
      withCode('FAISS_TOO_FEW_VECTORS'),
    );
    await expect(index.train(singles.subarray(0, 255 * 16))).rejects.toMatchObject({
      code: 'FAISS_TOO_FEW_VECTORS',
      message: expect.stringContaining('255 training vectors for 256 centroids') as string,
    });
    await expect(index.train(new Float32Array(0))).rejects.toEqual(withCode('FAISS_TOO_FEW_VECTORS'));
    const wrong = singles.slice();
    wrong[16 * 7] = Infinity;
    await expect(index.train(wrong)).rejects.toMatchObject({ code: 'FAISS_NOT_FINITE', details: { row: 7 } });
    const full = FaissIndex.flatL2(16);
    await full.add(singles);
    await expect(full.train(singles)).rejects.toEqual(withCode('FAISS_NOT_EMPTY'));
    const rows = new TrainingRows(16, 900);
    await expect(index.trainOn(rows, planIvfPqTraining(900, 12, 8))).rejects.toEqual(
      withCode('FAISS_ARGUMENT'),
    );
    expect(() => rows.set(singles.subarray(0, 16), Float64Array.of(900))).toThrow(withCode('FAISS_ARGUMENT'));
    expect(() => new TrainingRows(2 ** 20, 2 ** 31 - 1)).toThrow(withCode('FAISS_OUT_OF_MEMORY'));
  });

  it('warns of few vectors through the logger', async () => {
    const warnings: string[] = [];
    const index = FaissIndex.ivfPq({ dimension: 16, centroids: 12, codeSize: 4 });
    await index.train(singles, {
      logger: { info: () => undefined, warn: (message) => warnings.push(message) },
    });
    expect(warnings).toEqual(['900 training vectors for 256 centroids; 9984 or more give better ones']);
    index.close();
  });
});
