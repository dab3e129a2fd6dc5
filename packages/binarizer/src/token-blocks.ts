import { IntegerList } from './integer-list.js';

/**
 * How a text is cut into samples (`--sample-break-mode`): `none` after every so many tokens; `complete` at line ends, as
 * many lines as fit; `complete_doc` the same, and also at blank lines, which are left out; `eos` a sample for each line.
 */
export type BreakMode = 'none' | 'complete' | 'complete_doc' | 'eos';

/** All break modes. */
export const breakModes: readonly BreakMode[] = ['none', 'complete', 'complete_doc', 'eos'];

/** Samples of a text, as ranges of its tokens. */
export interface TokenBlocks {
  /** `[samples]` first token of each. */
  readonly starts: Float64Array;
  /** `[samples]` tokens of each. */
  readonly sizes: Int32Array;
  /** `[samples]` 1 where a sample begins with the first token of a sentence. */
  readonly startsSentence: Uint8Array;
}

/** A blank line: `</s>` alone. */
const SEPARATOR_TOKENS = 1;

/**
 * Cuts a text into samples as fairseq's `TokenBlockDataset` does (`fairseq/data/token_block_utils_fast.pyx`).
 *
 * @param sentenceSizes - `[sentences]` tokens of each sentence
 * @param mode - where to cut
 * @param blockSize - tokens of a sample; a single longer sentence is not cut in the modes `complete` and `complete_doc`,
 * and `eos` ignores it
 */
export function cutTokenBlocks(sentenceSizes: Int32Array, mode: BreakMode, blockSize: number): TokenBlocks {
  if (mode === 'none') return cutEvenly(sentenceSizes, blockSize);
  const sizes = new IntegerList();
  const gaps = new IntegerList();
  let size = 0;
  let gap = 0;
  const finish = (least: number) => {
    if (size >= least) {
      sizes.push(size);
      gaps.push(gap);
      gap = 0;
    } else {
      gap += size;
    }
    size = 0;
  };
  for (const sentence of sentenceSizes) {
    if (mode === 'eos') {
      size = sentence;
      finish(0);
    } else if (mode === 'complete') {
      if (size > 0 && size + sentence > blockSize) finish(1);
      size += sentence;
    } else if (sentence === SEPARATOR_TOKENS) {
      finish(2);
      gap += sentence;
    } else {
      if (size > 0 && size + sentence > blockSize) finish(2);
      size += sentence;
    }
  }
  if (size > 0) finish(mode === 'complete' ? 1 : 2);
  return fromSizes(sizes.toArray(), gaps.view());
}

/** Samples one after the other, each after a gap of tokens that belong to none. */
function fromSizes(sizes: Int32Array, gaps: Int32Array): TokenBlocks {
  const starts = new Float64Array(sizes.length);
  let position = 0;
  for (let i = 0; i < sizes.length; i++) {
    starts[i] = position + gaps[i];
    position = starts[i] + sizes[i];
  }
  return { starts, sizes, startsSentence: new Uint8Array(sizes.length).fill(1) };
}

function cutEvenly(sentenceSizes: Int32Array, blockSize: number): TokenBlocks {
  let total = 0;
  for (const size of sentenceSizes) total += size;
  const count = Math.ceil(total / blockSize);
  const starts = Float64Array.from({ length: count }, (_, i) => i * blockSize);
  const sizes = Int32Array.from(starts, (start) => Math.min(blockSize, total - start));
  const startsSentence = new Uint8Array(count);
  let position = 0;
  for (const size of sentenceSizes) {
    if (size > 0 && position % blockSize === 0) startsSentence[position / blockSize] = 1;
    position += size;
  }
  return { starts, sizes, startsSentence };
}
