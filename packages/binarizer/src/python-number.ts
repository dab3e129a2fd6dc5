import { strip } from './python-text.js';

/** Python refuses to parse longer integers (`sys.int_info.default_max_str_digits`). */
const MAX_DIGITS = 4300;

const isDecimalDigit = /^\p{Nd}$/u;

/** Value of a Unicode decimal digit; such digits come in runs of ten that start at zero. */
function digitValue(codePoint: number): number {
  let first = codePoint;
  while (isDecimalDigit.test(String.fromCodePoint(first - 1))) first--;
  return (codePoint - first) % 10;
}

/**
 * Parses an integer as Python's `int(text)` does: white space around it, a sign, any Unicode decimal digits, single
 * underscores between digits.
 *
 * @param text - the field
 * @returns the integer, or `undefined` where Python raises `ValueError`
 */
export function parsePythonInteger(text: string): bigint | undefined {
  // Unlike `strip`, `int` does not take U+001C to U+001F for white space.
  if (/[\x1c-\x1f]/.test(text)) return undefined;
  const match = /^([+-]?)(\p{Nd}+(?:_\p{Nd}+)*)$/u.exec(strip(text));
  if (match === null) return undefined;
  const digits = Array.from(match[2].replaceAll('_', ''), (digit) => digitValue(digit.codePointAt(0) ?? 0));
  if (digits.length > MAX_DIGITS) return undefined;
  const magnitude = BigInt(digits.join(''));
  return match[1] === '-' ? -magnitude : magnitude;
}

/**
 * Formats as Python's `f'{value:.3}'` does for a float: three significant digits, half to even on exact ties, at least
 * one digit after the point, and an exponent below 1e-4 and from 100 on (`1e+02`).
 *
 * @param value - a finite number, zero or above
 */
export function formatThreeDigits(value: number): string {
  if (value === 0) return '0.0';
  // 60 digits hold every tie at the third digit exactly, so that half to even can be decided on the decimal text.
  const [long, exponentText] = value.toExponential(60).split('e');
  let exponent = Number(exponentText);
  let kept = Number(long[0] + long.slice(2, 4));
  const rest = long.slice(4);
  const half = '5'.padEnd(rest.length, '0');
  if (rest > half || (rest === half && kept % 2 === 1)) kept++;
  if (kept === 1000) {
    kept = 100;
    exponent++;
  }
  const digits = String(kept).replace(/0+$/, '');
  if (exponent < -4 || exponent >= 2) return withExponent(digits, exponent);
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  return `${whole}.${digits.slice(exponent + 1) || '0'}`;
}

function withExponent(digits: string, exponent: number): string {
  const mantissa = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits;
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}
