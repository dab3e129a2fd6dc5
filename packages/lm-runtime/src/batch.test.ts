import { describe, expect, it } from 'vitest';
import { checkBatch, type BatchLimits, type LmRunBatch } from './batch.js';

const limits: BatchLimits = { vocabSize: 10, padIndex: 1, maxWidth: 8, needsTargets: true };

const batch: LmRunBatch = {
  rows: 2,
  width: 3,
  tokens: Int32Array.of(2, 5, 9, 4, 1, 1),
  targets: Int32Array.of(5, 9, 3, 0, 1, 1),
  positions: Int32Array.of(0, 2, 3),
};

describe('checkBatch', () => {
  it('takes a batch that fits', () => {
    expect(() => checkBatch(batch, limits)).not.toThrow();
    expect(() => checkBatch({ ...batch, positions: new Int32Array() }, limits)).not.toThrow();
  });

  it('says whether padding stands before a wanted position', () => {
    const inside = (tokens: number[], positions: number[]): boolean =>
      checkBatch({ ...batch, tokens: Int32Array.from(tokens), positions: Int32Array.from(positions) }, limits)
        .paddingInside;
    expect(inside([2, 5, 9, 4, 1, 1], [0, 2, 3])).toBe(false);
    expect(inside([2, 1, 9, 4, 1, 1], [0, 2, 3])).toBe(true);
    expect(inside([2, 1, 9, 4, 1, 1], [0, 3])).toBe(false);
    expect(inside([2, 5, 9, 4, 1, 7], [3, 4])).toBe(true);
    expect(inside([1, 5, 9, 4, 3, 7], [3, 4])).toBe(false);
  });

  it('reads targets only at the wanted positions, and only for scores', () => {
    const targets = Int32Array.of(5, 77, 3, 0, -1, 99);
    expect(() => checkBatch({ ...batch, targets }, limits)).not.toThrow();
    const unscored = { ...limits, needsTargets: false };
    expect(() => checkBatch({ ...batch, targets: new Int32Array() }, unscored)).not.toThrow();
  });

  it.each<[string, Partial<LmRunBatch>, RegExp]>([
    ['BATCH_SHAPE', { rows: 3 }, /3 rows of 3 has 6 tokens/],
    ['BATCH_SHAPE', { rows: 0, tokens: new Int32Array(), targets: new Int32Array() }, /0 rows/],
    ['BATCH_SHAPE', { rows: 1.5, width: 4 }, /1.5 rows/],
    ['BATCH_SHAPE', { targets: new Int32Array(5) }, /5 targets/],
    [
      'TOKEN_OUT_OF_RANGE',
      { tokens: Int32Array.of(2, 5, 9, 4, 10, 1) },
      /token 10 in row 1, column 1 .* of 10/,
    ],
    ['TOKEN_OUT_OF_RANGE', { tokens: Int32Array.of(2, 5, -1, 4, 1, 1) }, /token -1 in row 0, column 2/],
    ['TARGET_OUT_OF_RANGE', { targets: Int32Array.of(5, 9, 10, 0, 1, 1) }, /target 10 in row 0, column 2/],
    ['PADDING_FIRST', { tokens: Int32Array.of(1, 5, 9, 4, 1, 1) }, /row 0 begins with padding/],
    [
      'POSITION_INVALID',
      { positions: Int32Array.of(0, 6) },
      /position 6 \(number 1\) is not between 1 and 5/,
    ],
    ['POSITION_INVALID', { positions: Int32Array.of(-1) }, /position -1/],
    ['POSITION_INVALID', { positions: Int32Array.of(3, 2) }, /position 2/],
    ['POSITION_INVALID', { positions: Int32Array.of(3, 3) }, /position 3/],
  ])('%s: %j', (code, change, message) => {
    expect(() => checkBatch({ ...batch, ...change }, limits)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) as string }),
    );
  });

  it('refuses windows longer than the table of positions', () => {
    expect(() => checkBatch(batch, { ...limits, maxWidth: 2 })).toThrow(
      expect.objectContaining({ code: 'BATCH_TOO_WIDE' }),
    );
  });
});
