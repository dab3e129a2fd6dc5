import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineScanner } from './line-scanner.js';
import { wordKey } from './word-key.js';
import { WordTable } from './word-table.js';

const encoder = new TextEncoder();

function find(table: WordTable, word: string): number {
  const bytes = encoder.encode(word);
  return table.find(bytes, 0, bytes.length);
}

function add(table: WordTable, word: string): number {
  const bytes = encoder.encode(word);
  return table.add(bytes, 0, bytes.length);
}

describe('WordTable', () => {
  it('finds the last id that each word was given', () => {
    const words = fc.array(fc.oneof(fc.string({ maxLength: 3 }), fc.nat(300).map(String)), {
      maxLength: 500,
    });
    fc.assert(
      fc.property(words, (added) => {
        const table = new WordTable();
        const expected = new Map<string, number>();
        for (const word of added) {
          expect(find(table, word)).toBe(expected.get(word) ?? -1);
          expected.set(word, add(table, word));
        }
        expect(table.size).toBe(added.length);
        for (const [word, id] of expected) expect(find(table, word)).toBe(id);
        for (const [id, word] of added.entries()) expect(table.word(id)).toEqual(encoder.encode(word));
        expect(find(new WordTable(table.arrays), added[0] ?? 'x')).toBe(expected.get(added[0]) ?? -1);
      }),
      { numRuns: 200 },
    );
  });

  it('finds many at once as it finds each', () => {
    const letters = fc.constantFrom('a', 'b', '\0', 'é', 'abcdefghij');
    const word = fc.array(letters, { minLength: 1, maxLength: 9 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(word, { maxLength: 100 }), fc.array(word, { maxLength: 100 }), (known, asked) => {
        const table = new WordTable();
        for (const one of ['</s>', ...known]) add(table, one);
        const bytes = encoder.encode(`${asked.join(' ')}\n`);
        const scanner = new LineScanner(1000);
        scanner.scan(bytes, 0, bytes.length, true, { path: 'text', byteOffset: 0 });
        const ids = new Int32Array(scanner.count);
        table.findAll(scanner, bytes, ids);
        expect([...ids]).toEqual([...asked, '</s>'].map((one) => find(table, one)));
      }),
      { numRuns: 300 },
    );
  });

  it('tells words of one key apart', () => {
    const table = new WordTable();
    const key = wordKey(encoder.encode('a long, long word'), 0, 17);
    const a = encoder.encode('a long, long word');
    const b = encoder.encode('a long, long ward');
    table.add(a, 0, 17, key);
    expect(table.find(b, 0, 17, key)).toBe(-1);
    table.add(b, 0, 17, key);
    expect([table.find(a, 0, 17, key), table.find(b, 0, 17, key)]).toEqual([0, 1]);
  });

  it('takes over the words of another table', () => {
    const words = fc.uniqueArray(fc.string({ maxLength: 3 }), { maxLength: 300 });
    fc.assert(
      fc.property(words, words, (here, there) => {
        const [table, other] = [new WordTable(), new WordTable()];
        for (const word of here) add(table, word);
        for (const word of there) add(other, word);
        const ids = table.addMissing(other);
        expect(table.size).toBe(new Set([...here, ...there]).size);
        expect(there.map((word) => find(table, word))).toEqual([...ids]);
        expect(here.map((word) => find(table, word))).toEqual(here.map((_, id) => id));
      }),
      { numRuns: 100 },
    );
  });
});

describe('wordKey', () => {
  it('is the word itself up to 11 bytes', () => {
    const short = fc.uint8Array({ minLength: 1, maxLength: 11 });
    fc.assert(
      fc.property(short, short, (word, other) => {
        const isEqual = Buffer.compare(word, other) === 0;
        const [key, otherKey] = [word, other].map((bytes) => JSON.stringify(wordKey(bytes, 0, bytes.length)));
        expect(key === otherKey).toBe(isEqual);
      }),
      { numRuns: 2000, examples: [[Uint8Array.of(0), Uint8Array.of(0, 0)]] },
    );
  });
});
