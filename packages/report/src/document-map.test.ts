import { describe, expect, it } from 'vitest';
import { findDocuments, type DocumentText, type Words } from './document-map.js';

const symbols = ['<s>', '<pad>', '</s>', '<unk>', '=', 'a', 'b', 'c'];
const words: Words = {
  size: symbols.length,
  eos: 2,
  unk: 3,
  symbol: (id) => symbols[id],
  index: (symbol) => Math.max(symbols.indexOf(symbol), 3),
  count: () => 1,
};

function textOf(...lines: string[]): DocumentText {
  const sentences = lines.map((line) => [
    ...line
      .split(' ')
      .filter((word) => word !== '')
      .map((word) => words.index(word)),
    words.eos,
  ]);
  const flat = Int32Array.from(sentences.flat());
  return {
    sizes: Int32Array.from(sentences, ({ length }) => length),
    tokenCount: flat.length,
    readTokens: (start, end) => flat.slice(start, end),
  };
}

describe('findDocuments', () => {
  it('finds headings as in WikiText, but not those of sections', () => {
    const text = textOf('', '= a b =', '', 'c c', '= = c = =', 'b', '= b =', 'c');
    const documents = findDocuments(text, words);
    expect(documents.rule).toBe('headings');
    // The blank line before the first heading belongs to its document.
    expect([...documents.starts]).toEqual([0, 18]);
    expect([documents.title(0), documents.title(1)]).toEqual(['a b', 'b']);
  });

  it('takes blank lines where there are no headings', () => {
    const documents = findDocuments(textOf('a b', 'c', '', '', 'b', 'c', ''), words);
    expect(documents.rule).toBe('blank lines');
    expect([...documents.starts]).toEqual([0, 7]);
    expect(documents.title(1)).toBe('b');
  });

  it('keeps a long beginning without a heading as a document of its own', () => {
    const documents = findDocuments(textOf(...Array<string>(20).fill('a b c'), '= a =', 'b'), words);
    expect([...documents.starts]).toEqual([0, 80]);
  });

  it('cuts a text without marks into equal parts, a tiny one into single tokens', () => {
    const documents = findDocuments(textOf(...Array<string>(100).fill('a')), words);
    expect([documents.rule, documents.starts.length, documents.starts[1]]).toEqual(['parts', 20, 10]);
    expect(documents.title(19)).toBe('part 20 of 20');
    expect([...findDocuments(textOf('a'), words).starts]).toEqual([0, 1]);
  });

  it('does not take unknown words for marks', () => {
    const without: Words = { ...words, index: () => 3 };
    const text = textOf('d a d', 'b');
    expect(findDocuments(text, without).rule).toBe('parts');
  });
});
