import { KnnLmError } from '@knn-lm/common';
import { destination, type OptionValue } from '../options/option.js';
import type { CommandLine, ParsedArguments } from '../options/parse.js';
import { writeAll } from './log.js';
import { UsageError } from './usage-error.js';
import { version } from './version.js';

/** Text gathered for one write. */
const outputLength = 65_536;

/**
 * Prints a command's result as one line of JSON. Numbers that JSON does not have (infinity, NaN) become null.
 *
 * @param name - the command
 * @param options - values of its options, see {@link effectiveOptions}
 * @param result - what it returned; iterables are written piece by piece
 */
export function printResult(
  name: string,
  options: Readonly<Record<string, OptionValue>>,
  result: object,
): void {
  let text = '';
  const fields = Object.entries({ ok: true, command: name, version: version(), options, ...result });
  for (const [i, [key, value]] of fields.filter(([, value]) => value !== undefined).entries()) {
    text += `${i === 0 ? '{' : ','}${JSON.stringify(key)}:`;
    if (!isStream(value)) {
      text += JSON.stringify(value);
      continue;
    }
    let separator = '[';
    for (const item of value) {
      text += separator + JSON.stringify(item);
      separator = ',';
      if (text.length < outputLength) continue;
      if (!writeAll(1, text)) return;
      text = '';
    }
    text += separator === '[' ? '[]' : ']';
  }
  writeAll(1, `${text}}\n`);
}

function isStream(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Symbol.iterator in value;
}

/** The options that have an effect, with their values, and the positional arguments. */
export function effectiveOptions(
  { options, positionals = {} }: CommandLine,
  { values }: ParsedArguments,
): Record<string, OptionValue> {
  const used = options.filter(({ effect }) => effect === 'used').map(destination);
  return Object.fromEntries([...Object.keys(positionals), ...used].map((name) => [name, values[name]]));
}

/** Prints what went wrong as one line of JSON. */
export function printError(name: string, error: unknown): void {
  const about = { ok: false, command: name, version: version(), error: describeError(error) };
  writeAll(1, `${JSON.stringify(about, (_, value: unknown) => plain(value))}\n`);
}

/** JSON has no 64-bit integers; an offset beyond 2^53 stays exact as text. */
function plain(value: unknown): unknown {
  if (typeof value !== 'bigint') return value;
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}

function describeError(error: unknown): object {
  if (error instanceof UsageError) return { code: 'USAGE', message: error.message, hint: null, details: {} };
  if (error instanceof KnnLmError) {
    const { code, message, hint = null, details } = error;
    return { code, message, hint, details };
  }
  return { code: 'UNEXPECTED', message: String(error), hint: null, details: {} };
}
