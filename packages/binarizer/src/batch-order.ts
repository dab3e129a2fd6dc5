import { BinarizerError } from './errors.js';
import { NumpyRandomState } from './numpy-random.js';

/** The seed that fairseq's evaluation always uses (`get_batch_iterator(seed=1)`); `--seed` does not change it. */
const ORDER_SEED = 1;

/**
 * The order in which fairseq evaluates without a context window: by size, and samples of one size in the order of a random
 * permutation (`MonolingualDataset.ordered_indices`, `numpy.lexsort((permutation, sizes))`).
 *
 * @param sizes - `[samples]` tokens of each sample
 * @returns `[samples]` sample ids
 */
export function orderBySize(sizes: Int32Array): Int32Array {
  const rank = new NumpyRandomState(ORDER_SEED).permutation(sizes.length);
  const byRank = new Int32Array(sizes.length);
  for (let id = 0; id < rank.length; id++) byRank[rank[id]] = id;
  return sortBySize(byRank, sizes);
}

/** Stable sort of sample ids by size: a counting sort over the sizes that occur. */
function sortBySize(ids: Int32Array, sizes: Int32Array): Int32Array {
  const next = new Map<number, number>();
  for (const id of ids) next.set(sizes[id], (next.get(sizes[id]) ?? 0) + 1);
  let position = 0;
  for (const size of [...next.keys()].sort((a, b) => a - b)) {
    const count = next.get(size) ?? 0;
    next.set(size, position);
    position += count;
  }
  const sorted = new Int32Array(ids.length);
  for (const id of ids) {
    const target = next.get(sizes[id]) ?? 0;
    sorted[target] = id;
    next.set(sizes[id], target + 1);
  }
  return sorted;
}

/** Sample ids in the order of the text, for a context window. */
export function orderOfText(sizes: Int32Array): Int32Array {
  return Int32Array.from(sizes, (_, i) => i);
}

/** Limits of a batch. */
export interface BatchLimits {
  /** Rows times the longest sample; 0 or less is no limit. */
  readonly maxTokens: number;
  /** Rows; 0 or less is no limit. */
  readonly batchSize: number;
}

/**
 * Cuts an order into batches as fairseq's `batch_by_size` does: each batch takes samples as long as it keeps the limits.
 *
 * @param order - sample ids
 * @param sizes - tokens of each sample, by id
 * @param limits - of a batch
 * @returns `[batches]` position in `order` after the last sample of each batch
 * @throws {@link BinarizerError} `MAX_TOKENS_EXCEEDED` when a single sample is longer than `maxTokens`
 */
export function cutBatches(order: Int32Array, sizes: Int32Array, limits: BatchLimits): Int32Array {
  const { maxTokens, batchSize } = limits;
  checkLongest(order, sizes, maxTokens);
  const ends: number[] = [];
  let first = 0;
  let longest = 0;
  for (let position = 0; position < order.length; position++) {
    const size = sizes[order[position]];
    const rows = position - first + 1;
    const tokens = rows * Math.max(longest, size);
    const isFull = (batchSize > 0 && rows > batchSize) || (maxTokens > 0 && tokens > maxTokens);
    if (isFull && rows > 1) {
      ends.push(position);
      first = position;
      longest = 0;
    }
    longest = Math.max(longest, size);
  }
  if (order.length > first) ends.push(order.length);
  return Int32Array.from(ends);
}

function checkLongest(order: Int32Array, sizes: Int32Array, maxTokens: number): void {
  if (maxTokens <= 0) return;
  let longest = -1;
  for (const id of order) if (longest < 0 || sizes[id] > sizes[longest]) longest = id;
  if (longest < 0 || sizes[longest] <= maxTokens) return;
  throw new BinarizerError(
    'MAX_TOKENS_EXCEEDED',
    `Sentences lengths should not exceed max_tokens=${maxTokens}: sample ${longest} has ${sizes[longest]} tokens`,
    {
      hint: `Set the maximum of tokens in a batch to ${sizes[longest]} or more (--max-tokens), or cut shorter samples.`,
      details: { sample: longest, found: sizes[longest], expected: maxTokens },
    },
  );
}
