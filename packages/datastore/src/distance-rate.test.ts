import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { distanceEngine, measureDistanceRate } from './distance-rate.js';

describe('measureDistanceRate', () => {
  it('measures, and leaves nothing behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'knn-lm-rate-'));
    try {
      const options = { folder, dimension: 16, rows: 1000, k: 8 };
      expect(await measureDistanceRate({ ...options, dtype: 'fp16' })).toBeGreaterThan(0);
      const stopped = measureDistanceRate({ ...options, dtype: 'fp32', signal: AbortSignal.abort() });
      await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' });
      expect(await readdir(folder)).toEqual([]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe('distanceEngine', () => {
  it('names the kernel in use, or why there is none', () => {
    const { name, kernels, reason } = distanceEngine();
    if (name === 'native') expect(kernels[kernels.length - 1]).toBe('generic');
    else expect(reason).not.toBe('');
  });
});
