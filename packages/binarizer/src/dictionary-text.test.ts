import fc from 'fast-check';
import { expect, it } from 'vitest';
import { pythonLines } from '../test/python-lines.js';
import { DictionaryLines } from './dictionary-text.js';
import { isPythonSpace, strip } from './python-text.js';

/** The lines of a text by way of Python's words for it: `line.rstrip().rsplit(' ', 1)`; `undefined` for a bad one. */
function linesByText(text: string) {
  return pythonLines(text).map((line) => {
    let stripped = line;
    while (stripped !== '' && isPythonSpace(stripped.charCodeAt(stripped.length - 1))) {
      stripped = stripped.slice(0, -1);
    }
    const overwrite = stripped.endsWith(' #fairseq:overwrite');
    if (overwrite) stripped = stripped.slice(0, -' #fairseq:overwrite'.length);
    const fields = stripped.split(' ');
    const field = strip(fields.pop() ?? '');
    // What int() takes, but for the digits of other scripts, which the pieces below do not have.
    const isCount = fields.length > 0 && /^[+-]?\d+(_\d+)*$/.test(field);
    if (!isCount) return undefined;
    return {
      symbol: fields.join(' '),
      count: BigInt(field.replaceAll('_', '').replace('+', '')),
      overwrite,
    };
  });
}

function linesByBytes(text: string) {
  const bytes = new TextEncoder().encode(text);
  const lines = new DictionaryLines(bytes, 'dict.txt');
  const found: ReturnType<typeof linesByText> = [];
  try {
    while (lines.next()) {
      const { count, overwrite, symbol } = lines;
      expect(lines.number).toBe(found.length + 1);
      expect(
        new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes.subarray(lines.start, lines.end)),
      ).toBe(symbol);
      found.push({ symbol, count: BigInt(count), overwrite });
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'DICTIONARY_FORMAT', details: { line: found.length + 1 } });
    found.push(undefined);
  }
  return found;
}

it('reads any line as Python does, up to the first bad one', () => {
  const pieces = [
    'a',
    'é',
    '\ufeff',
    '\u3000',
    '\u0085',
    ' ',
    ' ',
    '7',
    '0',
    '12345678901234567890',
    '_',
    '-',
    '+',
    '\t',
  ];
  const ends = [
    '\n',
    '\r',
    '\r\n',
    ' 12\n',
    ' 3 #fairseq:overwrite\n',
    ' 123456789012345\n',
    ' 1234567890123456\n',
    ' 5 \n',
  ];
  const texts = fc.array(fc.oneof(fc.constantFrom(...pieces), fc.constantFrom(...ends)), { maxLength: 12 });
  let good = 0;
  fc.assert(
    fc.property(texts, (parts) => {
      const text = parts.join('');
      const expected = linesByText(text);
      const bad = expected.indexOf(undefined);
      expect(linesByBytes(text)).toEqual(bad < 0 ? expected : expected.slice(0, bad + 1));
      if (bad !== 0 && expected.length > 0) good++;
    }),
    { numRuns: 3000 },
  );
  expect(good).toBeGreaterThan(300);
});
