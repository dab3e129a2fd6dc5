import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hashBytes, WordTable } from './word-table.js';

const encoder = new TextEncoder();

function find(table: WordTable, word: string): number {
  const bytes = encoder.encode(word);
  return table.find(bytes, 0, bytes.length, hashBytes(bytes, 0, bytes.length));
}

function add(table: WordTable, word: string): number {
  const bytes = encoder.encode(word);
  return table.add(bytes, 0, bytes.length, hashBytes(bytes, 0, bytes.length));
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

  it('tells words of one hash apart', () => {
    const table = new WordTable();
    const a = encoder.encode('a');
    const b = encoder.encode('b');
    table.add(a, 0, 1, 42);
    expect(table.find(b, 0, 1, 42)).toBe(-1);
    table.add(b, 0, 1, 42);
    expect([table.find(a, 0, 1, 42), table.find(b, 0, 1, 42)]).toEqual([0, 1]);
  });
});
