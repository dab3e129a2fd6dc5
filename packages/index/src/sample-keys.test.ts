import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { withCode } from '../test/memory-source.js';
import { Pcg64 } from '@knn-lm/common';
import type { RowSet } from './row-set.js';
import { sampleKeys } from './sample-keys.js';

/** Made by `test/golden/make.py` with numpy. */
const golden = JSON.parse(readFileSync(new URL('../test/golden/samples.json', import.meta.url), 'utf8')) as {
  samples: { rows: number; size: number; seed: number; sha256: string }[];
  raw: { seed: number; raw: string[] }[];
};

function rowsOf(set: RowSet): Float64Array {
  return set.rowsAt(Float64Array.from({ length: set.size }, (_, i) => i));
}

describe('Pcg64', () => {
  it.each(golden.raw)('gives numpy’s numbers for seed $seed', ({ seed, raw }) => {
    const random = new Pcg64(seed);
    const found = raw.map(() => {
      const low = BigInt(random.nextUint32());
      return String((BigInt(random.nextUint32()) << 32n) | low);
    });
    expect(found).toEqual(raw);
  });

  it('stays within bounds', () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 0, max: 2 ** 32 - 2 }), (seed, maximum) => {
        const random = new Pcg64(seed);
        for (let i = 0; i < 20; i++) {
          const value = random.nextBounded(maximum);
          expect(Number.isInteger(value) && value >= 0 && value <= maximum).toBe(true);
        }
      }),
    );
  });
});

describe('sampleKeys', () => {
  it('draws what numpy draws', async () => {
    for (const { rows, size, seed, sha256 } of golden.samples) {
      const sample = rowsOf(await sampleKeys(rows, size, seed));
      const found = createHash('sha256').update(new Uint8Array(sample.buffer)).digest('hex');
      expect({ rows, size, seed, sha256: found }).toEqual({ rows, size, seed, sha256 });
    }
  });

  it('draws each row at most once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 0, max: 20_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(),
        async (rows, part, seed) => {
          const size = Math.floor(rows * part);
          const sample = rowsOf(await sampleKeys(rows, size, seed));
          expect(sample).toHaveLength(size);
          expect(sample.every((row, i) => row < rows && (i === 0 || row > sample[i - 1]))).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('finds rows by their places', async () => {
    const set = await sampleKeys(1000, 100, 3);
    const all = rowsOf(set);
    expect([...set.rowsAt(Float64Array.of(0, 7, 7, 99))]).toEqual([all[0], all[7], all[7], all[99]]);
  });

  it('can be stopped, and checks its arguments', async () => {
    const stop = new AbortController();
    const sampling = sampleKeys(2_000_000, 1_500_000, 1, {
      signal: stop.signal,
      onProgress: () => stop.abort(),
    });
    await expect(sampling).rejects.toEqual(withCode('CANCELLED'));
    await expect(sampleKeys(10, 11, 1)).rejects.toEqual(withCode('KNN_INDEX_ARGUMENT'));
    await expect(sampleKeys(10, 5, -1)).rejects.toEqual(withCode('KNN_INDEX_ARGUMENT'));
    await expect(sampleKeys(2 ** 33, 5, 1)).rejects.toEqual(withCode('KNN_INDEX_ARGUMENT'));
  });
});
