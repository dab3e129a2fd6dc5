import type { LmRunBatch } from './batch.js';

/** A part of a batch that is computed on its own: some of its rows, cut after the last wanted column. */
export interface RunPart {
  /** Number of windows. */
  readonly rows: number;
  /** Length of the windows. */
  readonly width: number;
  /** `[rows, width]`. */
  readonly tokens: Int32Array;
  /** Wanted positions in this part, `[n]`. */
  readonly positions: Int32Array;
  /** Target of each wanted position, `[n]`. */
  readonly targets: Int32Array;
}

/** A row with at least one wanted position. */
interface WantedRow {
  readonly row: number;
  /** Columns up to the last wanted one: no later column influences it. */
  readonly columns: number;
  /** Range in `positions`. */
  readonly begin: number;
  readonly end: number;
}

/**
 * Cuts a batch into parts of about the same number of rows, in their order, so that the results of the parts follow one
 * another. Rows and columns that no wanted position depends on are left out; attention is causal, so that later columns
 * do not matter. (With a context window, fairseq pads to the longest sample plus the whole window, although context and
 * sample together are shorter: up to 43 % of the columns.)
 *
 * @param batch - a checked batch with at least one wanted position
 * @param maxParts - parts at most; fewer when there are fewer rows
 */
export function runParts(batch: LmRunBatch, maxParts: number): RunPart[] {
  const rows = wantedRows(batch);
  const count = Math.min(maxParts, rows.length);
  return Array.from({ length: count }, (_, i) => {
    const [begin, end] = [i, i + 1].map((k) => Math.round((k * rows.length) / count));
    return partOf(batch, rows.slice(begin, end));
  });
}

/** Number of rows that hold wanted positions. */
export function wantedRowCount(batch: LmRunBatch): number {
  return wantedRows(batch).length;
}

function wantedRows({ width, positions }: LmRunBatch): WantedRow[] {
  const rows: WantedRow[] = [];
  for (let begin = 0, end = 0; begin < positions.length; begin = end) {
    const row = Math.floor(positions[begin] / width);
    while (end < positions.length && positions[end] < (row + 1) * width) end++;
    rows.push({ row, columns: positions[end - 1] - row * width + 1, begin, end });
  }
  return rows;
}

function partOf(batch: LmRunBatch, rows: readonly WantedRow[]): RunPart {
  const width = Math.max(...rows.map((row) => row.columns));
  const count = rows[rows.length - 1].end - rows[0].begin;
  const tokens = new Int32Array(rows.length * width);
  const positions = new Int32Array(count);
  const targets = new Int32Array(count);
  let at = 0;
  rows.forEach(({ row, begin, end }, i) => {
    const start = row * batch.width;
    tokens.set(batch.tokens.subarray(start, start + width), i * width);
    for (const position of batch.positions.subarray(begin, end)) {
      positions[at] = position - start + i * width;
      targets[at++] = batch.targets[position];
    }
  });
  return { rows: rows.length, width, tokens, positions, targets };
}
