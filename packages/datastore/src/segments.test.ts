import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SegmentChecksums, planSegmentRows } from './segments.js';

describe('segments', () => {
  it('are 64 MiB of keys, and never too many for a manifest', () => {
    expect(planSegmentRows({ rows: 1000, dimension: 1024, dtype: 'fp16' })).toBe(32768);
    const rows = 103_225_485;
    const planned = planSegmentRows({ rows, dimension: 1024, dtype: 'fp16' });
    expect(Math.ceil(rows / planned)).toBeLessThanOrEqual(2048);
    expect(planSegmentRows({ rows: 10, dimension: 2 ** 20, dtype: 'fp32' })).toBe(16);
    expect(() => planSegmentRows({ rows: 4097, dimension: 1, dtype: 'fp16' }, 2)).toThrow(/from 3 on/);
  });

  it('have the same checksums however their rows arrive', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 7 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 12 }),
        (segmentRows, arrivals) => {
          const checksums = new SegmentChecksums(segmentRows);
          const total = arrivals.reduce((sum, n) => sum + n, 0);
          const data = Uint8Array.from({ length: total }, (_, i) => i);
          let row = 0;
          for (let count of arrivals) {
            while (count > 0) {
              const part = Math.min(count, checksums.room);
              checksums.addKeys(data.subarray(row, row + part));
              checksums.addValues(data.subarray(row, row + part));
              checksums.endRows(part);
              checksums.snapshot();
              row += part;
              count -= part;
            }
          }
          const expected = Array.from({ length: Math.ceil(total / segmentRows) }, (_, i) => {
            const bytes = data.subarray(i * segmentRows, (i + 1) * segmentRows);
            const sum = createHash('sha256').update(bytes).digest('hex');
            return { rows: bytes.length, keys: sum, values: sum };
          });
          expect(checksums.snapshot()).toEqual(expected);
        },
      ),
    );
  });
});
