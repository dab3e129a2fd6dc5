import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StreamEncoder } from './stream-encoder.js';

/** Ids of the pieces that a pattern finds: what depends on what follows is different for each pattern. */
const encoderOf = (pattern: RegExp) => {
  let longest = 0;
  const encode = (text: string) => {
    longest = Math.max(longest, text.length);
    return (text.match(pattern) ?? []).map((piece) => piece.length * 1_000_003 + piece.charCodeAt(0));
  };
  return { encode, longest: () => longest };
};

const patterns = {
  'GPT-2': / ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu,
  'Llama 3': /[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+/gu,
  'runs of characters': /(.)\1*/gsu,
  'blank lines': /\n\n|[^\n]+|\n/gu,
};

const word = fc.constantFrom(
  'the',
  'of',
  'x',
  'Word',
  '12345',
  ',',
  '--',
  '\u{1f600}',
  '\u6f22\u5b57',
  'longer',
);
const gap = fc.constantFrom(' ', ' ', ' ', '\n', '\n\n', ' \n', '\r\n', '  ', '', '\n\n\n ');
const text = fc
  .array(fc.tuple(word, gap), { minLength: 1, maxLength: 40 })
  .map((parts) => parts.flat().join(''));

describe.each(Object.entries(patterns))('StreamEncoder with %s', (_, pattern) => {
  it('gives what the whole text gives, however it arrives', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 100, max: 9000 }), (seed, step) => {
        const whole = `${seed} of, the\nWord x`.repeat(Math.ceil(60_000 / (seed.length + 15)));
        const { encode } = encoderOf(pattern);
        const expected = encode(whole);
        const { encode: again, longest: piecewise } = encoderOf(pattern);
        const stream = new StreamEncoder(again);
        const found: number[] = [];
        for (let i = 0; i < whole.length; i += step) found.push(...stream.push(whole.slice(i, i + step)));
        found.push(...stream.end());
        expect(found).toEqual(expected);
        expect(piecewise()).toBeLessThan(40_000);
        // The next text knows nothing of this one.
        expect([...stream.push(seed), ...stream.end()]).toEqual(encode(seed));
      }),
      { numRuns: 30 },
    );
  });
});

describe('StreamEncoder', () => {
  it('holds a bounded part of a text that has no place to cut', () => {
    const { encode, longest } = encoderOf(/a+|b+/g);
    const stream = new StreamEncoder(encode);
    let characters = 0;
    const add = (ids: readonly number[]) => {
      for (const id of ids) characters += Math.floor(id / 1_000_003);
    };
    for (let i = 0; i < 60; i++) add(stream.push('a'.repeat(100_000)));
    add(stream.end());
    expect(characters).toBe(6_000_000);
    expect(longest()).toBeLessThan(2 ** 21);
  });
});
