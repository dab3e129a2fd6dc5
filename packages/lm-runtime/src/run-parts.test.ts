import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joinResults } from './join-results.js';
import { runParts, wantedRowCount } from './run-parts.js';

const batch = {
  rows: 4,
  width: 5,
  tokens: Int32Array.of(2, 3, 4, 5, 6, 12, 13, 14, 15, 16, 22, 23, 24, 25, 1, 32, 33, 34, 1, 1),
  targets: Int32Array.from({ length: 20 }, (_, i) => 100 + i),
  positions: Int32Array.of(1, 3, 10, 15, 16, 17),
};

describe('runParts', () => {
  it('leaves out rows without wanted positions, and columns after the last one; the longest row comes first', () => {
    expect(wantedRowCount(batch)).toBe(3);
    expect(runParts(batch, 1)).toMatchObject([
      {
        rows: 3,
        width: 4,
        tokens: Int32Array.of(2, 3, 4, 5, 32, 33, 34, 1, 22, 23, 24, 25),
        positions: Int32Array.of(1, 3, 4, 5, 6, 8),
        targets: Int32Array.of(101, 103, 115, 116, 117, 110),
      },
    ]);
  });

  it('cuts into parts of about the same number of cells', () => {
    const parts = runParts(batch, 2);
    expect(parts.map(({ rows, width }) => [rows, width])).toEqual([
      [1, 4],
      [2, 3],
    ]);
    expect(runParts(batch, 100).map((part) => part.rows)).toEqual([1, 1, 1]);
  });

  it('puts short rows into parts of their own where these are large enough', () => {
    const width = 600;
    const lengths = [600, 590, 580, 300, 290, 295];
    const positions = Int32Array.from(lengths, (length, row) => row * width + length - 1);
    const cells = new Int32Array(width * lengths.length);
    const parts = runParts({ rows: 6, width, tokens: cells, targets: cells, positions }, 1);
    expect(parts.map((part) => [part.rows, part.width])).toEqual([
      [3, 600],
      [3, 300],
    ]);
  });

  it('gives every position once, and results come back in the order of the batch', () => {
    const batches = fc.record({
      rows: fc.integer({ min: 1, max: 12 }),
      width: fc.integer({ min: 1, max: 9 }),
      sessions: fc.integer({ min: 1, max: 5 }),
      wanted: fc.array(fc.boolean(), { minLength: 108, maxLength: 108 }),
    });
    const check = fc.property(batches, ({ rows, width, sessions, wanted }) => {
      const tokens = Int32Array.from({ length: rows * width }, (_, i) => i);
      const positions = tokens.filter((i) => i === 0 || wanted[i]);
      const targets = tokens.map((i) => 1000 + i);
      const parts = runParts({ rows, width, tokens, targets, positions }, sessions);
      const results = parts.map((part) => {
        part.positions.forEach((at, i) => expect(part.tokens[at] + 1000).toBe(part.targets[i]));
        const found = Float32Array.from(part.positions, (at) => part.tokens[at]);
        const keys = Float32Array.from([...found].flatMap((token) => [token, -token]));
        return { keys, logProbs: found };
      });
      const { keys, logProbs } = joinResults(parts, results);
      expect(logProbs).toEqual(Float32Array.from(positions));
      expect(keys).toEqual(Float32Array.from([...positions].flatMap((token) => [token, -token])));
    });
    fc.assert(check, { numRuns: 300 });
  });
});
