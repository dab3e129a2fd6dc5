import type { SampleSources } from './sample-sources.js';

/** The limits of a carried context. */
export interface ContextRule {
  /** The most tokens that are carried from sample to sample. */
  readonly contextWindow: number;
  /** The most tokens of context and sample together. */
  readonly tokensPerSample: number;
}

/**
 * Length of the context in front of a row: what is carried, cut so that context and sample are at most
 * `tokensPerSample` tokens.
 */
export function startOf(carried: number, rowTokens: number, rule: ContextRule): number {
  return Math.max(0, Math.min(carried, rule.tokensPerSample - rowTokens));
}

/** Length of what is carried on after a row. */
export function carriedAfter(start: number, rowTokens: number, rule: ContextRule): number {
  return Math.min(rule.contextWindow, start + rowTokens);
}

/**
 * Length of what is carried into the first row of each batch, when samples are evaluated in this order from the first.
 *
 * @param order - sample ids in the order of the text
 * @param batchEnds - position in `order` after each batch
 * @param sources - the samples
 * @param rule - the limits
 * @returns `[batches]` tokens
 */
export function carriedIntoBatches(
  order: Int32Array,
  batchEnds: Int32Array,
  sources: SampleSources,
  rule: ContextRule,
): Int32Array {
  const carriedInto = new Int32Array(batchEnds.length);
  let carried = 0;
  let position = 0;
  for (let batch = 0; batch < batchEnds.length; batch++) {
    carriedInto[batch] = carried;
    for (; position < batchEnds[batch]; position++) {
      const tokens = sources.contextTokens(order[position]);
      carried = carriedAfter(startOf(carried, tokens, rule), tokens, rule);
    }
  }
  return carriedInto;
}

/**
 * The context in front of a row, taken from the text itself: the last tokens of the rows before it, pads left out.
 *
 * @param order - sample ids in the order of the text
 * @param position - of the row in `order`
 * @param length - as {@link carriedIntoBatches} gives it
 * @param sources - the samples
 * @returns `[length]` ids
 */
export function contextBefore(
  order: Int32Array,
  position: number,
  length: number,
  sources: SampleSources,
): Int32Array {
  const context = new Int32Array(length);
  let left = length;
  for (let row = position - 1; left > 0 && row >= 0; row--) {
    const source = sources.withoutPads(sources.source(order[row]));
    const used = Math.min(left, source.length);
    left -= used;
    context.set(source.subarray(source.length - used), left);
  }
  return context;
}

/** The end of a row's context and sample, which is carried on into the next row. */
export function carryOn(context: Int32Array, source: Int32Array, rule: ContextRule): Int32Array {
  const joined = new Int32Array(context.length + source.length);
  joined.set(context);
  joined.set(source, context.length);
  return joined.slice(Math.max(0, joined.length - rule.contextWindow));
}
