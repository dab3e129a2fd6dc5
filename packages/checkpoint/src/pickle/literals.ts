import { pickleLimits } from './limits.js';
import type { PyValue } from './values.js';
import type { PickleFailure } from './pickle-error.js';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const ascii = /^[\x20-\x7e]*$/;

/** One character a byte; TextDecoder's latin1 is windows-1252, which differs from 0x80 to 0x9f. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** A number when it is exact, or a `bigint`. */
export function pythonInteger(value: bigint): number | bigint {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/** Two's complement, little-endian, of any length; no bytes are 0 (pickle.decode_long). */
export function integerFromBytes(bytes: Uint8Array, fail: PickleFailure): number | bigint {
  if (bytes.length > pickleLimits.integerBytes) {
    throw fail(
      'PICKLE_LIMIT',
      `an integer of ${bytes.length} bytes; the limit is ${pickleLimits.integerBytes}`,
    );
  }
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]);
  const negative = bytes.length > 0 && bytes[bytes.length - 1] >= 0x80;
  return pythonInteger(negative ? value - (1n << BigInt(8 * bytes.length)) : value);
}

/** UTF-8; the lone surrogates that Python writes for file names that are not UTF-8 become question marks. */
export function textFromBytes(bytes: Uint8Array, fail: PickleFailure): string {
  try {
    return utf8.decode(bytes);
  } catch {
    const repaired = latin1(bytes).replace(/\xed[\xa0-\xbf][\x80-\xbf]/g, '?');
    try {
      return utf8.decode(Buffer.from(repaired, 'latin1'));
    } catch {
      throw fail('PICKLE_TEXT', 'a string that is not valid UTF-8');
    }
  }
}

/** A string of Python 2, whose encoding is not known: UTF-8 where it is valid, otherwise one character a byte. */
export function textFromPython2(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return latin1(bytes);
  }
}

/** A decimal integer or, of protocol 0, a boolean (`01`, `00`); `L` may follow. */
export function integerFromText(line: Uint8Array, fail: PickleFailure): boolean | number | bigint {
  const text = latin1(line);
  if (text === '01') return true;
  if (text === '00') return false;
  if (text.length > 2 * pickleLimits.integerBytes || !/^[+-]?\d+L?$/.test(text)) {
    throw fail('PICKLE_NUMBER', `an integer is expected, not '${printable(text)}'`);
  }
  return pythonInteger(BigInt(text.replace(/^\+/, '').replace(/L$/, '')));
}

/** A float as Python's `repr` writes it. */
export function floatFromText(line: Uint8Array, fail: PickleFailure): number {
  const text = latin1(line);
  const named = new Map([
    ['inf', Infinity],
    ['-inf', -Infinity],
    ['nan', NaN],
  ]).get(text);
  if (named !== undefined) return named;
  if (text.length > 64 || !/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text)) {
    throw fail('PICKLE_NUMBER', `a number is expected, not '${printable(text)}'`);
  }
  return Number(text);
}

/** A quoted string of protocol 0, with Python's escapes. */
export function stringFromRepr(line: Uint8Array, fail: PickleFailure): string {
  const text = latin1(line).trimEnd();
  const quote = text[0];
  if (text.length < 2 || (quote !== "'" && quote !== '"') || text[text.length - 1] !== quote) {
    throw fail('PICKLE_TEXT', `a quoted string is expected, not '${printable(text)}'`);
  }
  const simple: Record<string, string> = { n: '\n', t: '\t', r: '\r', '\\': '\\', "'": "'", '"': '"' };
  return text.slice(1, -1).replace(/\\(x[0-9a-fA-F]{2}|.)/g, (whole: string, escape: string) => {
    if (escape.length === 3) return String.fromCharCode(parseInt(escape.slice(1), 16));
    return Object.hasOwn(simple, escape) ? simple[escape] : whole;
  });
}

/** A string of protocol 0 in Python's raw-unicode-escape. */
export function stringFromUnicodeEscape(line: Uint8Array): string {
  return latin1(line).replace(
    /\\(?:u([0-9a-fA-F]{4})|U(000[0-9a-fA-F]{5}|0010[0-9a-fA-F]{4}))/g,
    (_, short?: string, long?: string) => String.fromCodePoint(parseInt(short ?? long ?? '', 16)),
  );
}

/** The first characters of a text of unknown content, for a message. */
export function printable(text: string): string {
  const short = text.length > 40 ? `${text.slice(0, 40)}…` : text;
  return ascii.test(short) ? short : JSON.stringify(short).slice(1, -1);
}

/** What a value is, in a few words, for a message. */
export function describeValue(value: PyValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (typeof value === 'string') return `'${printable(value)}'`;
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return `a list or tuple of ${value.length}`;
  if (value instanceof Map) return `a dict of ${value.size}`;
  if (value instanceof Set) return `a set of ${value.size}`;
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if ('path' in value && value.path !== '') return `an object of ${printable(value.path)}`;
  return 'an object';
}
