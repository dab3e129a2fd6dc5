import { describe, expect, it } from 'vitest';
import {
  estimateBuild,
  estimateIndexBytes,
  estimateSearch,
  measureExactRates,
  measureIndexRates,
  type IndexRates,
} from './index-rates.js';
import { buildIndex } from './build-index.js';
import { MemorySource } from '../test/memory-source.js';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const shape = { dimension: 16, centroids: 32, codeSize: 4, bitsPerIndex: 8, k: 10, threads: 1 };

describe('measureIndexRates', () => {
  it('gives a cost to every kind of work', async () => {
    const rates = await measureIndexRates(shape);
    for (const [what, rate] of Object.entries(rates)) expect(rate, what).toBeGreaterThanOrEqual(0);
    const { add, trainCode, trainCentroid } = rates;
    expect(Math.min(add, trainCode, trainCentroid)).toBeGreaterThan(0);
  });

  it('stops', async () => {
    await expect(measureIndexRates(shape, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });

  it('an exact index', async () => {
    const { add, compare } = await measureExactRates(shape);
    expect(Math.min(add, compare)).toBeGreaterThan(0);
  });
});

describe('the estimates', () => {
  const rates: IndexRates = {
    assign: 1,
    trainCentroid: 2,
    trainCode: 3,
    add: 5,
    list: 7,
    code: 11,
    keep: 0,
    k: 10,
  };

  it('train on no more keys than Faiss uses: 256 a centroid, 65,536 for the codes', () => {
    const many = estimateBuild(rates, { centroids: 4096, bitsPerIndex: 8 }, 10_000_000);
    expect(many).toEqual({ train: 256 * 4096 * 4096 * 2 + 65_536 * 3, add: 50_000_000 });
    const few = estimateBuild(rates, { centroids: 4, bitsPerIndex: 8 }, 5000, 1000);
    expect(few).toEqual({ train: 1000 * 4 * 2 + 1000 * 3, add: 25_000 });
  });

  it('search: centroids, lists, and codes that are in uneven lists', () => {
    expect(estimateSearch(rates, { centroids: 100 }, 1000, 10)).toBeCloseTo(1 + 10 * 7 + 130 * 11);
    expect(estimateSearch(rates, { centroids: 100 }, 1000, 1000)).toBeCloseTo(1 + 100 * 7 + 1000 * 11);
  });

  it('the size of the file, to one part in a hundred', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'knn-lm-rates-'));
    try {
      const rows = 3000;
      const keys = Float32Array.from({ length: rows * 16 }, (_, i) => Math.sin(i * i));
      const { path } = await buildIndex(new MemorySource(keys, 16, folder), {
        type: 'IndexIVFPQ',
        centroids: 32,
        codeSize: 4,
      });
      const { size } = await stat(path);
      expect(Math.abs(estimateIndexBytes(shape, rows) / size - 1)).toBeLessThan(0.01);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
