import type { LmBatch } from '@knn-lm/binarizer';

/** One sample (block of the text) within a batch. */
export interface ScoredSample {
  /** Number of the block in the text's order. */
  readonly sampleId: number;
  /** First of its tokens in the batch's arrays. */
  readonly begin: number;
  /** One behind its last token. */
  readonly end: number;
}

/** Which cells of a batch are wanted, and which sample each belongs to. */
export interface BatchPositions {
  /** `[n]` flat positions `row * width + column`, ascending. */
  readonly positions: Int32Array;
  /** The rows that have any, with their range in `positions`. */
  readonly samples: ScoredSample[];
}

/**
 * The positions of a batch that are scored: those whose target is not padding.
 *
 * @param batch - one batch of blocks
 * @param padIndex - id of the padding symbol
 * @param wantsRow - leaves out whole rows; all rows count without it
 */
export function scoredPositions(
  batch: LmBatch,
  padIndex: number,
  wantsRow: (row: number) => boolean = () => true,
): BatchPositions {
  const { rows, width, targets, sampleIds, starts, lengths } = batch;
  const wanted = Array.from({ length: rows }, (_, row) => row).filter(wantsRow);
  const cells = wanted.reduce((sum, row) => sum + lengths[row] - starts[row], 0);
  const positions = new Int32Array(cells);
  const samples: ScoredSample[] = [];
  let count = 0;
  for (const row of wanted) {
    const begin = count;
    for (let column = starts[row]; column < lengths[row]; column++) {
      const at = row * width + column;
      if (targets[at] !== padIndex) positions[count++] = at;
    }
    if (count > begin) samples.push({ sampleId: sampleIds[row], begin, end: count });
  }
  return { positions: positions.subarray(0, count), samples };
}
