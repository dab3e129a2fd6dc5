import { describe, expect, it } from 'vitest';
import { isPythonSpace, splitWords, strip, stripEnd } from './python-text.js';

// python3.11: [c for c in range(0x110000) if chr(c).isspace()]
const pythonSpaces = [
  0x9, 0xa, 0xb, 0xc, 0xd, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002, 0x2003,
  0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000,
];

describe('isPythonSpace', () => {
  it('agrees with Python on every code point', () => {
    const found: number[] = [];
    for (let codePoint = 0; codePoint < 0x110000; codePoint++)
      if (isPythonSpace(codePoint)) found.push(codePoint);
    expect(found).toEqual(pythonSpaces);
  });
});

describe('splitWords', () => {
  it('splits at the code points that Python splits at, and at no other', () => {
    for (let codePoint = 0; codePoint < 0x110000; codePoint++) {
      const text = `a${String.fromCodePoint(codePoint)}b`;
      const isSplit = splitWords(text).length === 2;
      if (isSplit !== pythonSpaces.includes(codePoint)) expect.fail(`U+${codePoint.toString(16)}`);
    }
    expect(splitWords(' \u3000a \t b\x1f')).toEqual(['a', 'b']);
    expect(splitWords(' ')).toEqual([]);
  });
});

describe('strip', () => {
  it('strips what Python strips, and leaves what only JavaScript strips', () => {
    expect(strip('\x1c\u0085 a b\u3000\x1f')).toBe('a b');
    expect(strip('\ufeffa\ufeff')).toBe('\ufeffa\ufeff');
    expect(stripEnd(' a \n')).toBe(' a');
  });
});
