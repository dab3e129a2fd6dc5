import type { TokenRange } from '@knn-lm/knn-lm';
import { UsageError } from '../terminal/usage-error.js';

/**
 * Reads `START:END` as Python slices a list, but both from 0 up: `100:200`, `100:`, `:200`.
 *
 * @param text - what was given
 * @param flag - for the message
 * @throws {@link UsageError}
 */
export function parseTokenRange(text: string, flag: string): TokenRange {
  const match = /^(\d*):(\d*)$/.exec(text);
  const [start, end] = [Number(match?.[1] || 0), match?.[2] ? Number(match[2]) : Infinity];
  if (match !== null && start < end) return { start, end };
  throw new UsageError(`argument ${flag}: not a range of tokens such as 100:200: '${text}'`, '');
}

/**
 * A whole number from 0 up.
 *
 * @param value - what was given
 * @param flag - for the message
 * @throws {@link UsageError}
 */
export function countOf(value: number, flag: string): number {
  if (Number.isInteger(value) && value >= 0) return value;
  throw new UsageError(`argument ${flag}: not a whole number from 0: '${value}'`, '');
}
