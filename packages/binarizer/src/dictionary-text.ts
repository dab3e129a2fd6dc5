import { BinarizerError } from './errors.js';
import { parsePythonInteger } from './python-number.js';
import { pythonLines, stripEnd } from './python-text.js';
import { findInvalidUtf8, notUtf8 } from './utf8.js';

/** One line of a `dict.txt`. */
export interface DictionaryEntry {
  /** Everything before the last space (before the last but one when there is a flag). */
  readonly symbol: string;
  /** A bigint where a double would not hold it exactly. */
  readonly count: number | bigint;
  /** Whether the line has the flag that lets it take over a known symbol. */
  readonly overwrite: boolean;
  /** Line number, from 1. */
  readonly line: number;
}

const overwriteFlag = '#fairseq:overwrite';

/**
 * Parses the lines of a `dict.txt` as fairseq's `add_from_file` does.
 *
 * @param bytes - the file's content
 * @param path - for messages
 * @throws {@link BinarizerError} `TEXT_NOT_UTF8`, `DICTIONARY_FORMAT`
 */
export function* parseDictionaryText(bytes: Uint8Array, path: string): Generator<DictionaryEntry> {
  const invalid = findInvalidUtf8(bytes);
  if (invalid >= 0) throw notUtf8(path, invalid, bytes[invalid]);
  const lines = pythonLines(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes));
  for (const [index, text] of lines.entries()) {
    const entry = parseLine(text);
    if (entry === undefined) throw badFormat(path, index + 1, byteOffsetOfLine(bytes, index + 1), text);
    yield { ...entry, line: index + 1 };
  }
}

const LF = 0x0a;
const CR = 0x0d;

/** Where a line begins, which only an error needs to know. */
export function byteOffsetOfLine(bytes: Uint8Array, line: number): number {
  let before = line - 1;
  let at = 0;
  for (; before > 0 && at < bytes.length; at++) {
    const endsLine = bytes[at] === LF || (bytes[at] === CR && bytes[at + 1] !== LF);
    if (endsLine) before--;
  }
  return at;
}

function parseLine(text: string): Omit<DictionaryEntry, 'line'> | undefined {
  let [symbol, field] = splitAtLastSpace(stripEnd(text));
  const overwrite = field === overwriteFlag;
  if (overwrite) [symbol, field] = splitAtLastSpace(symbol ?? '');
  if (symbol === undefined || field === undefined) return undefined;
  const count = parseCount(field);
  return count === undefined ? undefined : { symbol, count, overwrite };
}

function splitAtLastSpace(text: string): [string | undefined, string | undefined] {
  const space = text.lastIndexOf(' ');
  return space < 0 ? [undefined, undefined] : [text.slice(0, space), text.slice(space + 1)];
}

function parseCount(field: string): number | bigint | undefined {
  if (/^\d{1,15}$/.test(field)) return Number(field);
  const count = parsePythonInteger(field);
  return count !== undefined && Number.isSafeInteger(Number(count)) ? Number(count) : count;
}

function badFormat(path: string, line: number, byteOffset: number, text: string): BinarizerError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return new BinarizerError(
    'DICTIONARY_FORMAT',
    `${path}:${line}: Incorrect dictionary format, expected '<token> <cnt> [flags]': "${shown}"`,
    {
      hint: 'Each line is a symbol, one space and a whole number.',
      details: { path, line, byteOffset, found: shown, expected: '<token> <cnt> [flags]' },
    },
  );
}
