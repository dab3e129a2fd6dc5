import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WordTable } from './word-table.js';

const encoder = new TextEncoder();
const word = fc.oneof(fc.string({ maxLength: 3 }), fc.nat(300).map(String));
const words = fc.array(word, { maxLength: 500 });

describe('WordTable', () => {
  it('finds the last id that each word was given', () => {
    fc.assert(
      fc.property(words, (added) => {
        const table = new WordTable();
        const expected = new Map<string, number>();
        for (const word of added) {
          expect(table.findText(word)).toBe(expected.get(word) ?? -1);
          expected.set(word, table.addText(word));
        }
        expect(table.size).toBe(added.length);
        for (const [word, id] of expected) expect(table.findText(word)).toBe(id);
        for (const [id, word] of added.entries()) expect(table.word(id)).toEqual(encoder.encode(word));
      }),
      { numRuns: 200 },
    );
  });

  it('takes over the words of another table', () => {
    fc.assert(
      fc.property(words, words, words, (here, there, after) => {
        const [table, other] = [new WordTable(), new WordTable()];
        for (const word of here) table.addText(word);
        if (here.length % 2 === 0) table.findText('');
        for (const word of there) other.addText(word);
        table.append(other.words);
        for (const word of after) table.addText(word);
        const all = [...here, ...there, ...after];
        expect(Array.from(all, (_, id) => table.text(id))).toEqual(all);
        for (const word of all) expect(table.findText(word)).toBe(all.lastIndexOf(word));
      }),
      { numRuns: 100 },
    );
  });
});
