import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { quoteWord, splitWords } from './shell-words.js';

describe('splitWords', () => {
  it.each([
    ['', []],
    ['  a  b\tc\n', ['a', 'b', 'c']],
    [`--m 'layers[-1]' "x y"`, ['--m', 'layers[-1]', 'x y']],
    [`a'b'"c"\\ d`, ['abc d']],
    [`''`, ['']],
    [`"a \\" b"`, ['a " b']],
  ])('%j', (text, words) => {
    expect(splitWords(text)).toEqual(words);
  });

  it('refuses an open quote', () => {
    expect(splitWords(`a 'b`)).toBeUndefined();
  });

  it('reads what quoteWord wrote, and so does bash', () => {
    const word = fc.string({ unit: fc.constantFrom(...`ab '"\\$\`!*{0..3}~#&|;<>()é\t`) });
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 8 }), (words) => {
        const text = words.map(quoteWord).join(' ');
        expect(splitWords(text)).toEqual(words);
      }),
    );
    const samples = fc.sample(word, 50);
    const { stdout } = spawnSync('bash', ['-c', `printf '%s\\0' ${samples.map(quoteWord).join(' ')}`], {
      encoding: 'utf8',
    });
    expect(stdout.split('\0').slice(0, -1)).toEqual(samples);
  });
});
