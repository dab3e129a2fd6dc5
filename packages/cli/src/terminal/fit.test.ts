import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fitEnd, fitStart, pad, printable, widthOf } from './fit.js';

/** Letters of one column and of two, joined emoji, combining marks. */
const text = fc
  .array(fc.constantFrom('a', 'ß', '語', '한', 'e\u0301', '👩‍👩‍👧', '…', ' '), { maxLength: 30 })
  .map((letters) => letters.join(''));

describe('fitting text to a terminal', () => {
  it('takes no more columns than there are, and all of the text where it fits', () => {
    fc.assert(
      fc.property(text, fc.nat(40), (whole, width) => {
        for (const fit of [fitEnd, fitStart]) {
          const fitted = fit(whole, width);
          expect(widthOf(fitted)).toBeLessThanOrEqual(width);
          if (widthOf(whole) <= width) expect(fitted).toBe(whole);
        }
        expect(widthOf(pad(fitEnd(whole, width), width))).toBe(width);
        expect(pad(whole, width, 'left').endsWith(whole)).toBe(true);
      }),
    );
  });

  it('keeps the beginning or the end', () => {
    expect(fitEnd('neighbours', 6)).toBe('neigh…');
    expect(fitStart('neighbours', 6)).toBe('…bours');
    expect(fitStart('a語', 2)).toBe('…');
  });

  it('lets no text move the cursor', () => {
    expect(printable('a\u001b[31mb\r\n\u009bc\u202ed')).toBe('a·[31mb···c·d');
  });
});
