import type { LmBatch } from '@knn-lm/binarizer';

/**
 * Cells of a batch (rows times columns) that are given to the model together. Rows do not depend on each other, so a
 * large batch may be cut: progress is finer, a stop loses less, and memory is bounded. Below some thousand cells the
 * cores are not used well any more.
 */
const cellsPerGroup = 8192;

/**
 * Cuts a batch into groups of about the same number of rows, each a batch of its own.
 *
 * @param batch - any batch; the groups share its memory
 * @param cells - about how many cells a group has
 */
export function* rowGroups(batch: LmBatch, cells: number = cellsPerGroup): Generator<LmBatch> {
  const { rows, width } = batch;
  const rowsPerGroup = Math.max(1, Math.floor(cells / width));
  const groups = Math.ceil(rows / rowsPerGroup);
  for (let group = 0; group < groups; group++) {
    const begin = Math.floor((group * rows) / groups);
    const end = Math.floor(((group + 1) * rows) / groups);
    yield {
      rows: end - begin,
      width,
      sampleIds: batch.sampleIds.subarray(begin, end),
      tokens: batch.tokens.subarray(begin * width, end * width),
      targets: batch.targets.subarray(begin * width, end * width),
      starts: batch.starts.subarray(begin, end),
      lengths: batch.lengths.subarray(begin, end),
    };
  }
}
