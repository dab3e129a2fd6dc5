import { describe, expect, it } from 'vitest';
import { formatThreeDigits, parsePythonInteger } from './python-number.js';

describe('formatThreeDigits', () => {
  // python3.11: f'{value:.3}'
  it.each([
    [0, '0.0'],
    [12.5, '12.5'],
    [100, '1e+02'],
    [99.95, '1e+02'],
    [99.949, '99.9'],
    [12.25, '12.2'],
    [12.35, '12.3'],
    [0.125, '0.125'],
    [38.636, '38.6'],
    [5, '5.0'],
    [50, '50.0'],
    [0.001234, '0.00123'],
    [0.0000123, '1.23e-05'],
    [0.00001, '1e-05'],
    [0.0001, '0.0001'],
    [33.333, '33.3'],
    [1e-7, '1e-07'],
    [0.1, '0.1'],
    [1, '1.0'],
    [9.995, '9.99'],
    [9.985, '9.98'],
    [10.05, '10.1'],
    [0.0625, '0.0625'],
    [1.125, '1.12'],
    [1.135, '1.14'],
    [3.145, '3.15'],
    [101, '1.01e+02'],
    [999.6, '1e+03'],
  ])('%d', (value, expected) => {
    expect(formatThreeDigits(value)).toBe(expected);
  });
});

describe('parsePythonInteger', () => {
  it.each([
    ['5', 5n],
    ['+5', 5n],
    ['-5', -5n],
    ['1_0', 10n],
    ['007', 7n],
    ['\u00a05\u3000\v', 5n],
    ['\u0661\u0662', 12n], // Arabic-Indic digits
    ['\u{1d7d8}\u{1d7e3}', 1n], // 0 and 1 of two runs of mathematical digits
    ['123456789012345678901234567890', 123456789012345678901234567890n],
  ])('%j is a number', (text, expected) => {
    expect(parsePythonInteger(text)).toBe(expected);
  });

  it.each([
    '',
    ' ',
    '1.5',
    '_1',
    '1_',
    '1__0',
    '+ 5',
    '--5',
    '0x10',
    '1e3',
    '\ufeff5',
    '\x1f5',
    '5\x1c',
    '²',
    '9'.repeat(4301),
  ])('%j is none', (text) => {
    expect(parsePythonInteger(text)).toBeUndefined();
  });
});
