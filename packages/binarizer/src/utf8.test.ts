import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findInvalidUtf8 } from './utf8.js';

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

describe('findInvalidUtf8', () => {
  it('agrees with a strict decoder on damaged text', () => {
    const damaged = fc
      .tuple(fc.string({ unit: 'grapheme' }), fc.array(fc.tuple(fc.nat(100), fc.nat(255)), { maxLength: 2 }))
      .map(([text, damages]) => {
        const bytes = new TextEncoder().encode(text);
        for (const [at, byte] of damages) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 6 })), (bytes) => {
        const invalid = findInvalidUtf8(bytes);
        expect(invalid < 0).toBe(isUtf8(bytes));
        // Everything before the offset is right.
        if (invalid >= 0) expect(isUtf8(bytes.slice(0, invalid))).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });

  it('agrees with a strict decoder on every pair of bytes, with a continuation after it', () => {
    for (let pair = 0; pair < 65536; pair++) {
      const bytes = Uint8Array.of(pair >> 8, pair & 0xff, 0x80, 0x80);
      for (let length = 2; length <= 4; length++) {
        const part = bytes.slice(0, length);
        if (findInvalidUtf8(part) < 0 !== isUtf8(part)) expect.fail(Buffer.from(part).toString('hex'));
      }
    }
  });
});
