import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { pythonLines } from '../test/python-lines.js';
import type { BinarizerError } from './errors.js';
import { isPythonSpace } from './python-text.js';
import { SharedTable } from './shared-table.js';
import { TextNumbering } from './text-numbering.js';
import * as sources from './text-source.js';
import { findInvalidUtf8 } from './utf8.js';
import type { WordBytes } from './word-table.js';

const encoder = new TextEncoder();

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

/** A source that gives its bytes in pieces of the given sizes. */
function inPieces(bytes: Uint8Array, pieceSizes: readonly number[]) {
  let position = 0;
  let piece = 0;
  const source: sources.TextSource = {
    get doneBytes() {
      return position;
    },
    read(target) {
      const size = Math.min(bytes.length - position, pieceSizes[piece++ % pieceSizes.length]);
      target.set(bytes.subarray(position, position + size));
      position += size;
      return Promise.resolve(size);
    },
    close: () => Promise.resolve(),
  };
  return vi.spyOn(sources, 'openTextSource').mockResolvedValueOnce(source);
}

function wordAt({ bytes, offsets }: WordBytes, i: number): string {
  return Buffer.from(bytes.subarray(offsets[i], offsets[i + 1])).toString();
}

/** Numbers a text, and gives the words of each line by the ids that they got. */
async function wordsByIds(bytes: Uint8Array, pieceSizes: readonly number[]): Promise<string[][]> {
  inPieces(bytes, pieceSizes);
  const table = SharedTable.forText();
  const numbering = new TextNumbering(table.shared);
  const ids: number[] = [];
  const sizes: number[] = [];
  let open = 0;
  for await (const piece of numbering.number({ path: 'text', start: 0, end: bytes.length }, true)) {
    ids.push(...piece.ids);
    for (const size of piece.sizes) {
      sizes.push(open + size);
      open = 0;
    }
    open += piece.openTokens;
  }
  expect(open).toBe(0);
  table.setCounts(0, numbering.counts);
  const { words, counts, ids: places } = table.choose({ first: [], most: Infinity, threshold: 0 });
  const word = (id: number) => wordAt(words, places[id]);
  const occurrences = new Float64Array(counts.length);
  for (const id of ids) occurrences[places[id]]++;
  expect(Float64Array.from(counts)).toEqual(occurrences);
  let start = 0;
  return sizes.map((size) => {
    const line = ids.slice(start, (start += size)).map(word);
    expect(line.pop()).toBe('</s>');
    return line;
  });
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
const text = fc.array(character, { maxLength: 60 }).map((characters) => characters.join(''));
// Of 40 bytes and more, so that words are found on both ways: with bytes to spare after them, and without.
const pieces = fc.array(fc.oneof(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 40, max: 60 })), {
  minLength: 1,
  maxLength: 5,
});

describe('TextNumbering', () => {
  it('finds the words and lines of Python, wherever the text is cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(text, pieces, async (source, pieceSizes) => {
        expect(await wordsByIds(encoder.encode(source), pieceSizes)).toEqual(wordsOfLines(source));
      }),
      { numRuns: 1000 },
    );
  });

  it('names the byte of the file at which the text is not UTF-8', async () => {
    const bytes = Buffer.concat([Buffer.from('añb \n'), Buffer.of(0x63, 0xc3), Buffer.from(' d\n')]);
    for (let size = 1; size <= bytes.length; size++) {
      await expect(wordsByIds(bytes, [size])).rejects.toMatchObject({
        code: 'TEXT_NOT_UTF8',
        details: { path: 'text', byteOffset: 7, found: '0xc3', expected: 'UTF-8' },
      });
    }
  });

  it('refuses a character that the end of the text cuts off', async () => {
    await expect(wordsByIds(Buffer.from('ab漢').subarray(0, 4), [1])).rejects.toMatchObject({
      code: 'TEXT_NOT_UTF8',
    });
  });

  it('takes words of megabytes', async () => {
    const words = ['a'.repeat(3_000_000), 'é'.repeat(2_000_000), 'b', `${'a'.repeat(2_999_999)}c`];
    expect(await wordsByIds(encoder.encode(`${words.join(' ')}\n b`), [200_000])).toEqual([words, ['b']]);
  });

  it('gives the ids of a dictionary, of a word that comes twice the last one, and <unk> to unknown words', async () => {
    const known = ['<s>', '<pad>', '</s>', '<unk>', 'the', 'a', 'incomprehensibilities', 'the', '\0', '\0\0'];
    const bytes = encoder.encode(known.join(''));
    let end = 0;
    const offsets = Uint32Array.from([0, ...known.map((word) => (end += encoder.encode(word).length))]);
    const table = SharedTable.of({ bytes, offsets });
    const line = encoder.encode(
      'the cat <unk> a\0 incomprehensibilities \0\0 incomprehensibilitiez \0\n</s>',
    );
    inPieces(line, [line.length]);
    const numbering = new TextNumbering(table.shared);
    const [ids, sizes]: number[][] = [[], []];
    let unknown = 0;
    for await (const piece of numbering.number({ path: 'text', start: 0, end: line.length }, false)) {
      ids.push(...piece.ids);
      sizes.push(...piece.sizes);
      unknown += piece.replaced;
    }
    expect(ids).toEqual([7, 3, 3, 3, 6, 9, 3, 8, 2, 2, 2]);
    expect(sizes).toEqual([9, 2]);
    expect(unknown).toBe(3);
  });

  it('divides words at the white space of Python only', async () => {
    const words: string[] = [];
    // All of Python's white space lies below U+3001; of what lies above, some.
    for (let codePoint = 0; codePoint < 0x110000; codePoint += codePoint < 0x4000 ? 1 : 101) {
      const isSurrogate = codePoint >= 0xd800 && codePoint < 0xe000;
      if (!isSurrogate) words.push(`a${String.fromCodePoint(codePoint)}b`);
    }
    // In lines, of which some are empty: two of these characters end one.
    const expected = words.flatMap((word) => wordsOfLines(word));
    expect((await wordsByIds(encoder.encode(words.join(' ')), [2 ** 18])).flat()).toEqual(expected.flat());
  });

  it('finds the same bytes not to be UTF-8 as a strict decoder', async () => {
    const part = fc.oneof(
      fc.uint8Array({ maxLength: 3 }),
      fc.string({ unit: 'grapheme', maxLength: 4 }).map((one) => encoder.encode(one)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 20 }), pieces, async (parts, pieceSizes) => {
        const bytes = Buffer.concat(parts);
        const invalid = findInvalidUtf8(bytes);
        const found = await wordsByIds(bytes, pieceSizes).then(
          () => -1,
          (error: BinarizerError) => error.details.byteOffset,
        );
        expect(found).toBe(invalid);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('SharedTable', () => {
  it('orders words by count and code point, however many there are', async () => {
    const letters = fc.constantFrom('a', 'b', '\0', 'é', 'abcdefgh', '\u{1f600}', '\uff5e');
    const word = fc.array(letters, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
    const list = fc.array(word, { maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(list, async (list) => {
        const bytes = encoder.encode(list.join(' '));
        inPieces(bytes, [100]);
        const table = SharedTable.forText();
        const numbering = new TextNumbering(table.shared);
        const range = { path: 'text', start: 0, end: bytes.length };
        for await (const piece of numbering.number(range, true)) expect(piece.replaced).toBe(0);
        table.setCounts(0, numbering.counts);
        const { words, counts, find, ids } = table.choose({ first: [], most: Infinity, threshold: 0 });
        const found = Array.from(counts, (count, i) => ({ symbol: Buffer.from(wordAt(words, i)), count }));
        for (const [i, { symbol }] of found.entries()) expect(ids[find(symbol.toString())]).toBe(i);
        const expected = new Map([['</s>', list.length === 0 ? 0 : 1]]);
        for (const one of list) expected.set(one, (expected.get(one) ?? 0) + 1);
        const sorted = Array.from(expected, ([symbol, count]) => ({ symbol: Buffer.from(symbol), count }));
        sorted.sort((a, b) => b.count - a.count || Buffer.compare(a.symbol, b.symbol));
        expect(found).toEqual(sorted);
        expect(find('no such word')).toBe(-1);
      }),
      { numRuns: 300 },
    );
  });
});
