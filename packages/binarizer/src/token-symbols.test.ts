import { describe, expect, it } from 'vitest';
import { Dictionary } from './dictionary.js';
import { symbolsOf } from './token-symbols.js';

describe('symbolsOf', () => {
  it('writes tokens that a line of dict.txt can hold as they are, and others so that they can be read', () => {
    const tokens = [
      'the',
      '\u0120cat',
      '\u2581',
      '\ufeff',
      'a b',
      '\n',
      '\u0085',
      '\u3000',
      '',
      'a\\b',
      '\x00',
      '\ud83d',
    ];
    expect(symbolsOf(tokens)).toEqual([
      ...[
        'the',
        '\u0120cat',
        '\u2581',
        '\ufeff',
        'a\\u0020b',
        '\\u000a',
        '\\u0085',
        '\\u3000',
        '\\empty',
        'a\\b',
        '\\u0000',
      ],
      '\\ud83d',
    ]);
  });

  it('makes all different, and none a special symbol or a flag', () => {
    const tokens = [
      '</s>',
      '<unk>',
      'a b',
      'a\\u0020b',
      undefined,
      '\\unused\\4',
      '#fairseq:overwrite',
      '<s>',
      'a b\\2',
    ];
    const symbols = symbolsOf(tokens);
    expect(new Set(symbols).size).toBe(tokens.length);
    expect(symbols[3]).toBe('a\\u0020b');
    const dictionary = Dictionary.fromSymbols(symbols);
    const loaded = Dictionary.parse(Buffer.from(dictionary.toText()), 'dict.txt');
    expect(Array.from(tokens, (_, id) => loaded.symbol(4 + id))).toEqual(symbols);
    expect(loaded.size).toBe(4 + tokens.length);
  });

  it('is refused by a dictionary where two are the same', () => {
    expect(() => Dictionary.fromSymbols(['a', 'b', 'a'])).toThrow(/Duplicate word/);
  });
});
