import { createHash } from 'node:crypto';
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Dictionary, type FinalizeOptions } from './dictionary.js';
import { SharedTable } from './shared-table.js';
import { TextNumbering } from './text-numbering.js';

const parse = (text: string) => Dictionary.parse(new TextEncoder().encode(text), 'dict.txt');

/** Makes a dictionary of a text of one line. */
async function fromWords(words: readonly string[], options: FinalizeOptions): Promise<Dictionary> {
  const path = join(await mkdtemp(join(tmpdir(), 'knn-lm-dictionary-')), 'text');
  await writeFile(path, words.join(' '));
  const table = SharedTable.forText();
  const numbering = new TextNumbering(table.shared);
  const pieces = numbering.number({ path, start: 0, end: (await stat(path)).size }, true);
  for await (const { replaced } of pieces) expect(replaced).toBe(0);
  table.setCounts(0, numbering.counts);
  return Dictionary.fromCounts(table, options).dictionary;
}

describe('Dictionary.parse', () => {
  it('gives ids from 4 on in the order of the file', () => {
    const dictionary = parse('the 10\ncat 3\n');
    expect(dictionary.size).toBe(6);
    expect(
      ['<s>', '<pad>', '</s>', '<unk>', 'the', 'cat', 'dog'].map((word) => dictionary.index(word)),
    ).toEqual([0, 1, 2, 3, 4, 5, 3]);
    expect([4, 5, 6, -1].map((id) => dictionary.symbol(id))).toEqual(['the', 'cat', '<unk>', '<unk>']);
    expect([dictionary.count(4), dictionary.count(99)]).toEqual([10, 0]);
  });

  it('splits at the last space, and takes counts as Python does', () => {
    const dictionary = parse('new york 1_0\n+ +5\r\n  -7 \r\u00a0x 1234567890123456789012\n\ufeff 0');
    expect([4, 5, 6, 7, 8].map((id) => dictionary.symbol(id))).toEqual([
      'new york',
      '+',
      ' ',
      '\u00a0x',
      '\ufeff',
    ]);
    expect(dictionary.toText()).toBe('new york 10\n+ 5\n  -7\n\u00a0x 1234567890123456789012\n\ufeff 0\n');
  });

  it('gives a known word a new id with the overwrite flag', () => {
    const dictionary = parse('the 10\ncat 3\nthe 7 #fairseq:overwrite\n');
    expect(dictionary.size).toBe(7);
    expect(dictionary.index('the')).toBe(6);
    expect([dictionary.symbol(4), dictionary.symbol(6)]).toEqual(['the', 'the']);
    // The flag is not written, as in fairseq.
    expect(dictionary.toText()).toBe('the 10\ncat 3\nthe 7\n');
    expect(() => parse(dictionary.toText())).toThrow(
      expect.objectContaining({ code: 'DICTIONARY_DUPLICATE' }),
    );
  });

  it.each([
    ['the 1\ncat\n', 2, 6, 'DICTIONARY_FORMAT'],
    ['thé 1\r\n\rcat 1\n', 2, 8, 'DICTIONARY_FORMAT'],
    ['the 1.5\n', 1, 0, 'DICTIONARY_FORMAT'],
    ['the 1 #fairseq:overwritten\n', 1, 0, 'DICTIONARY_FORMAT'],
    ['1 #fairseq:overwrite\n', 1, 0, 'DICTIONARY_FORMAT'],
    ['the 1\rcat 2\nthe 1\n', 3, 12, 'DICTIONARY_DUPLICATE'],
    ['<unk> 5\n', 1, 0, 'DICTIONARY_DUPLICATE'],
  ])('refuses %j and names line %d at byte %d', (text, line, byteOffset, code) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({
        code,
        message: expect.stringContaining(`dict.txt:${line}:`) as string,
        details: expect.objectContaining({ line, byteOffset }) as object,
      }),
    );
  });

  it('refuses what is not UTF-8 and names the byte', () => {
    expect(() => Dictionary.parse(Uint8Array.of(0x61, 0x20, 0x31, 0x0a, 0xff), 'dict.txt')).toThrow(
      expect.objectContaining({
        code: 'TEXT_NOT_UTF8',
        details: expect.objectContaining({ byteOffset: 4 }) as object,
      }),
    );
  });
});

describe('Dictionary.fromCounts', () => {
  it('orders by count, and ties by code point rather than by UTF-16 unit', async () => {
    const dictionary = await fromWords(['\u{1f600}', '\uff5e', 'b', 'a', 'a'], { paddingFactor: 1 });
    expect(dictionary.toText()).toBe('a 2\nb 1\n\uff5e 1\n\u{1f600} 1\n');
  });

  it('keeps nwords with the special symbols, and words from the threshold on', async () => {
    const words = ['a', 'a', 'a', 'b', 'b', 'c', '<pad>'];
    expect((await fromWords(words, { nwords: 6, paddingFactor: 0 })).toText()).toBe('a 3\nb 2\n');
    expect((await fromWords(words, { nwords: 3, paddingFactor: 0 })).toText()).toBe('');
    expect((await fromWords(words, { threshold: 2, paddingFactor: 0 })).toText()).toBe('a 3\nb 2\n');
    expect((await fromWords(words, {})).toText()).toBe('a 3\nb 2\nc 1\nmadeupword0000 0\n');
  });

  it('pads with the next made-up word where the text holds one', async () => {
    expect((await fromWords(['madeupword0001'], {})).toText()).toBe(
      'madeupword0001 1\nmadeupword0000 0\nmadeupword0002 0\nmadeupword0003 0\n',
    );
  });
});

describe('Dictionary', () => {
  // No white space or control characters, which would end lines or be stripped.
  const word = fc
    .stringMatching(/^[^\s\p{C}]{1,6}$/u)
    .filter((text) => !/^<(s|pad|unk|\/s)>$|^<\/s>$/.test(text));

  it('comes back from its text the same', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'knn-lm-dictionary-'));
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(word, { maxLength: 50 }), async (words) => {
        const dictionary = parse(words.map((symbol, i) => `${symbol} ${i}\n`).join(''));
        const path = join(folder, 'dict.txt');
        await dictionary.save(path);
        const loaded = await Dictionary.load(path);
        expect(loaded.toText()).toBe(dictionary.toText());
        expect(loaded.fingerprint).toBe(
          createHash('sha256')
            .update(await readFile(path))
            .digest('hex'),
        );
        for (const [i, symbol] of words.entries()) {
          expect(loaded.index(symbol)).toBe(i + 4);
          expect(loaded.symbol(i + 4)).toBe(symbol);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('encodes a line with </s> at its end, and decodes it', () => {
    const dictionary = parse('the 10\ncat 3\n');
    expect([...dictionary.encodeLine(' the\tdog\u3000cat \n')]).toEqual([4, 3, 5, 2]);
    expect([...dictionary.encodeLine('')]).toEqual([2]);
    expect(dictionary.decode([4, 3, 5, 2])).toBe('the <unk> cat </s>');
  });

  it('says which file is missing', async () => {
    await expect(Dictionary.load('/nowhere/dict.txt')).rejects.toMatchObject({
      code: 'FILE_ENOENT',
      message: expect.stringContaining('/nowhere/dict.txt') as string,
    });
  });
});
