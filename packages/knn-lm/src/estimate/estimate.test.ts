import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LmBatch, LmBatchPlan } from '@knn-lm/binarizer';
import type { LanguageModel } from '@knn-lm/lm-runtime';
import { describe, expect, it } from 'vitest';
import { estimateSizes, estimateStages, type PlannedRun } from './estimate.js';
import { measureMixingRate } from './mixing-rate.js';
import { measureModelRate } from './model-rate.js';
import { measureResources } from './resources.js';
import { measureWritingRate } from './writing-rate.js';

const run: PlannedRun = {
  rows: 103_225_485,
  dimension: 1024,
  elementBytes: 2,
  index: { centroids: 4096, codeSize: 64, bitsPerIndex: 8 },
  trainedKeys: 40_000_000,
  generateMemory: 1e9,
  scoreMemory: 2e9,
  k: 1024,
  recomputeDistance: true,
};

describe('estimateSizes', () => {
  it('WikiText-103: 212 GB and 7.5 GB', () => {
    const sizes = estimateSizes(run);
    expect(sizes.datastore).toBe(103_225_485 * (2048 + 8));
    expect(sizes.index / 1e9).toBeCloseTo(7.45, 1);
    // 256 keys for each of 4096 centroids, in single precision.
    expect(sizes.buildMemory - sizes.index).toBeCloseTo(4096 * 256 * 4096 + 0.4e9, -3);
    expect(estimateSizes({ ...run, index: 'exact' }).index).toBe(103_225_485 * 4096);
  });
});

describe('estimateStages', () => {
  const rates = { generateSeconds: 100, writeRow: 2, evaluateSeconds: 50, distances: 3, mix: 4 };

  it('an exact index compares every query with every key', () => {
    const exact: PlannedRun = { ...run, rows: 10, index: 'exact' };
    const stages = estimateStages(
      exact,
      { ...rates, index: { add: 5, compare: 7 } },
      { tokens: 6, nprobe: 1 },
    );
    expect(stages).toEqual({ generate: 120, train: 0, add: 50, evaluate: 50 + 6 * (70 + 3 + 4) });
    const approximate = estimateStages(
      { ...exact, recomputeDistance: false },
      { ...rates, index: { add: 5, compare: 7 } },
      { tokens: 6, nprobe: 1 },
    );
    expect(approximate.evaluate).toBe(50 + 6 * (70 + 4));
  });
});

/** A model that computes nothing, and a text of batches of different widths. */
function measured(widths: readonly number[], seen: number[]) {
  const plan = {
    batchCount: widths.length,
    batch: (i: number): LmBatch => ({
      rows: 1,
      width: widths[i],
      sampleIds: Int32Array.of(i),
      tokens: new Int32Array(widths[i]).fill(5),
      targets: new Int32Array(widths[i]).fill(5),
      starts: Int32Array.of(0),
      lengths: Int32Array.of(widths[i]),
    }),
    *[Symbol.iterator]() {
      for (let i = 0; i < widths.length; i++) yield this.batch(i);
    },
  };
  const model = {
    info: { padIndex: 1 },
    run: ({ width }: { width: number }) => {
      seen.push(width);
      return new Promise((resolve) => setTimeout(resolve, 2));
    },
  };
  return { plan: plan as unknown as LmBatchPlan, model: model as unknown as LanguageModel };
}

describe('measureModelRate', () => {
  it('takes batches from all over the text and counts the whole of it', async () => {
    const widths = Array.from({ length: 32 }, (_, i) => 10 + i);
    const seen: number[] = [];
    const { plan, model } = measured(widths, seen);
    const rate = await measureModelRate(model, plan, { seconds: 0 });
    expect(seen).toEqual([11, 13, 15]); // The first one only warms up.
    expect(rate).toMatchObject({ cells: widths.reduce((a, b) => a + b), measuredCells: 28 });
    expect(rate.seconds).toBeCloseTo((rate.cells * rate.measuredSeconds) / 28);
  });

  it('a text of one batch is measured, too; none is an error', async () => {
    const one = measured([8], []);
    expect((await measureModelRate(one.model, one.plan, { seconds: 0.02 })).cells).toBe(8);
    const none = measured([], []);
    await expect(measureModelRate(none.model, none.plan)).rejects.toMatchObject({ code: 'NOTHING_TO_SCORE' });
  });
});

describe('the other measurements', () => {
  it('writing leaves nothing behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'knn-lm-estimate-'));
    try {
      expect(await measureWritingRate(folder, { dimension: 1024, dtype: 'fp16' })).toBeGreaterThan(0);
      expect(await readdir(folder)).toEqual([]);
      const {
        diskFree,
        memoryAvailable,
        memoryTotal,
        folder: found,
      } = await measureResources(join(folder, 'not', 'there'));
      expect(found).toBe(folder);
      expect(diskFree).toBeGreaterThan(0);
      expect(memoryAvailable).toBeGreaterThan(0);
      expect(memoryAvailable).toBeLessThanOrEqual(memoryTotal);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('mixing', () => {
    expect(measureMixingRate(16)).toBeGreaterThanOrEqual(0);
  });
});
