import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LINE_END, LineScanner } from './line-scanner.js';
import { isPythonSpace, pythonLines } from './python-text.js';
import { wordKey } from './word-key.js';
import { keyAt } from './word-table.js';

/** Words of each line, by way of strings: slow, and independent of the code under test. */
function wordsOfLines(text: string): string[][] {
  return pythonLines(text).map((line) => {
    const words: string[] = [];
    let word = '';
    for (const character of line) {
      if (!isPythonSpace(character.codePointAt(0) ?? 0)) {
        word += character;
      } else if (word !== '') {
        words.push(word);
        word = '';
      }
    }
    return word === '' ? words : [...words, word];
  });
}

/** Scans in pieces of the given sizes, carrying over what a piece leaves unused. */
function scanInPieces(bytes: Uint8Array, pieceSizes: readonly number[], capacity = 3): string[][] {
  const scanner = new LineScanner(capacity);
  const lines: string[][] = [];
  let words: string[] = [];
  let rest = new Uint8Array(0);
  let byteOffset = 0;
  let position = 0;
  for (let i = 0; ; i++) {
    const next = Math.min(bytes.length, position + pieceSizes[i % pieceSizes.length]);
    const piece = Buffer.concat([rest, bytes.subarray(position, next)]);
    position = next;
    const isLast = position === bytes.length;
    let used = 0;
    do {
      used = scanner.scan(piece, used, piece.length, isLast, { path: 'text', byteOffset });
      for (let j = 0; j < scanner.count; j++) {
        if (scanner.starts[j] === LINE_END) {
          lines.push(words);
          words = [];
          continue;
        }
        expect(keyAt(scanner.keys, j)).toEqual(wordKey(piece, scanner.starts[j], scanner.ends[j]));
        words.push(piece.toString('utf8', scanner.starts[j], scanner.ends[j]));
      }
    } while (scanner.count > 0);
    rest = new Uint8Array(piece.subarray(used));
    byteOffset += used;
    if (isLast) return lines;
  }
}

const character = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    'abcdefghijk',
    'abcdefghijklmnop',
    '\x01',
    '\x7f',
    ' ',
    '\n',
    '\r',
    '\t',
    '\x0b',
    '\x0c',
    '\x1c',
    '\x1f',
    '\0',
  ),
  fc.constantFrom('\u0085', '\u00a0', '\u1680', '\u2003', '\u2028', '\u202f', '\u205f', '\u3000'),
  fc.constantFrom('\ufeff', '\u200b', '\u180e', '\u2060', 'é', '\u0084', '\u3001', '漢', '😀', '\u{10ffff}'),
);
const text = fc.array(character, { maxLength: 40 }).map((characters) => characters.join(''));
const pieces = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 });

describe('LineScanner', () => {
  it('finds the words and lines of Python, wherever the text is cut into pieces', () => {
    fc.assert(
      fc.property(text, pieces, (source, pieceSizes) => {
        expect(scanInPieces(new TextEncoder().encode(source), pieceSizes)).toEqual(wordsOfLines(source));
      }),
      { numRuns: 3000 },
    );
  });

  it('names the byte of the file at which the text is not UTF-8', () => {
    const bytes = Buffer.concat([Buffer.from('añb \n'), Buffer.of(0x63, 0xc3), Buffer.from(' d\n')]);
    for (let size = 1; size <= bytes.length; size++) {
      expect(() => scanInPieces(bytes, [size])).toThrow(
        expect.objectContaining({
          code: 'TEXT_NOT_UTF8',
          details: { path: 'text', byteOffset: 7, found: '0xc3', expected: 'UTF-8' },
        }),
      );
    }
  });

  it('refuses a character that the end of the text cuts off', () => {
    expect(() => scanInPieces(Buffer.from('ab漢').subarray(0, 4), [1])).toThrow(
      expect.objectContaining({ code: 'TEXT_NOT_UTF8' }),
    );
  });
});
