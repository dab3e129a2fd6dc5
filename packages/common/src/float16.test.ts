import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { float16FromFloat32, float16FromNumber, float32FromFloat16, numberFromFloat16 } from './float16.js';

/** The nearest half by search over all finite halves: slow, and independent of the code under test. */
const finiteHalves = Array.from({ length: 0x7c00 }, (_, bits) => bits);
function nearestHalf(value: number): number {
  const magnitude = Math.abs(value);
  let low = 0;
  let high = finiteHalves.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (numberFromFloat16(middle) <= magnitude) low = middle;
    else high = middle;
  }
  const below = magnitude - numberFromFloat16(low);
  const above = numberFromFloat16(high) - magnitude;
  const bits = below < above || (below === above && low % 2 === 0) ? low : high;
  return value < 0 || Object.is(value, -0) ? bits | 0x8000 : bits;
}

describe('float16', () => {
  it('survives the round trip for all 65,536 patterns', () => {
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const back = float16FromFloat32(float32FromFloat16(patterns));
    for (let i = 0; i < 65536; i++) {
      const isNan = (i & 0x7c00) === 0x7c00 && (i & 0x3ff) !== 0;
      if (isNan) expect(back[i] & 0x7e00).toBe(0x7e00);
      else expect(back[i]).toBe(i);
    }
  });

  it('rounds to nearest even like a search over all halves', () => {
    fc.assert(
      fc.property(fc.float({ min: -65504, max: 65504, noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(float16FromNumber(value)).toBe(nearestHalf(value));
      }),
      { numRuns: 5000 },
    );
    fc.assert(
      fc.property(fc.float({ min: Math.fround(-7e-5), max: Math.fround(7e-5), noNaN: true }), (value) => {
        expect(float16FromNumber(value)).toBe(nearestHalf(value));
      }),
      { numRuns: 5000 },
    );
  });

  it('rounds ties and overflow as numpy does', () => {
    // numpy: np.float16([2049, 2051, 65519, 65520, 1e9, 2**-25, 2**-25 * 1.0001]).view('u2')
    expect([2049, 2051, 65519, 65520, 1e9, 2 ** -25, 2 ** -25 * 1.0001].map(float16FromNumber)).toEqual([
      0x6800, 0x6802, 0x7bff, 0x7c00, 0x7c00, 0x0000, 0x0001,
    ]);
  });
});
