import { describe, expect, it } from 'vitest';
import { runParts, wantedRowCount } from './run-parts.js';

const batch = {
  rows: 4,
  width: 5,
  tokens: Int32Array.of(2, 3, 4, 5, 6, 12, 13, 14, 15, 16, 22, 23, 24, 25, 1, 32, 33, 34, 1, 1),
  targets: Int32Array.from({ length: 20 }, (_, i) => 100 + i),
  positions: Int32Array.of(1, 3, 10, 15, 16, 17),
};

describe('runParts', () => {
  it('leaves out rows without wanted positions, and columns after the last one', () => {
    expect(wantedRowCount(batch)).toBe(3);
    expect(runParts(batch, 1)).toEqual([
      {
        rows: 3,
        width: 4,
        tokens: Int32Array.of(2, 3, 4, 5, 22, 23, 24, 25, 32, 33, 34, 1),
        positions: Int32Array.of(1, 3, 4, 8, 9, 10),
        targets: Int32Array.of(101, 103, 110, 115, 116, 117),
      },
    ]);
  });

  it('cuts into parts in order, each as wide as it needs', () => {
    const parts = runParts(batch, 2);
    expect(parts.map(({ rows, width }) => [rows, width])).toEqual([
      [2, 4],
      [1, 3],
    ]);
    expect(parts[0].positions).toEqual(Int32Array.of(1, 3, 4));
    expect(parts[1]).toEqual({
      rows: 1,
      width: 3,
      tokens: Int32Array.of(32, 33, 34),
      positions: Int32Array.of(0, 1, 2),
      targets: Int32Array.of(115, 116, 117),
    });
    expect(parts.flatMap((part) => [...part.targets])).toEqual([101, 103, 110, 115, 116, 117]);
  });

  it('gives no empty part', () => {
    expect(runParts(batch, 100).map((part) => part.rows)).toEqual([1, 1, 1]);
  });
});
