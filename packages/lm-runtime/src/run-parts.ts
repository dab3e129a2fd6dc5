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

/** A part, and where its results belong. */
export interface PlacedPart extends RunPart {
  /** Ranges in the positions of the batch, one for each row of the part, in its order. */
  readonly ranges: readonly { readonly begin: number; readonly end: number }[];
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

/** A part may have rows that are shorter than its longest by this share. */
const mostPadding = 0.1;

/** Parts with fewer cells than this do not use the processor well. */
const fewestCells = 1024;

/**
 * Cuts a batch into parts of about the same number of cells, with rows of about the same length. Rows and columns that no
 * wanted position depends on are left out; attention is causal, so that later columns do not matter. (With a context
 * window, fairseq pads to the longest sample plus the whole window, although context and sample together are shorter:
 * on blocks of whole sentences 26 to 62 % more cells than are needed, and 2 % here.)
 *
 * @param batch - a checked batch with at least one wanted position
 * @param sessions - among how many the parts are divided; there may be more parts, where rows differ much in length
 * @param mostCells - about how many cells a part may have; a row is never cut
 */
export function runParts(batch: LmRunBatch, sessions: number, mostCells = Infinity): PlacedPart[] {
  const rows = wantedRows(batch).sort((a, b) => b.columns - a.columns || a.row - b.row);
  const share = Math.min(mostCells, Math.ceil(rows.reduce((sum, row) => sum + row.columns, 0) / sessions));
  const groups: WantedRow[][] = [];
  let cells = 0;
  for (const row of rows) {
    const group = groups.at(-1);
    const width = group?.[0].columns ?? 0;
    const isFull = cells + row.columns / 2 > share;
    const isRagged = row.columns < (1 - mostPadding) * width && cells >= fewestCells;
    if (group === undefined || isFull || isRagged) {
      groups.push([row]);
      cells = row.columns;
    } else {
      group.push(row);
      cells += row.columns;
    }
  }
  return groups.map((group) => partOf(batch, group));
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

function partOf(batch: LmRunBatch, rows: readonly WantedRow[]): PlacedPart {
  const width = Math.max(...rows.map((row) => row.columns));
  const count = rows.reduce((sum, { begin, end }) => sum + end - begin, 0);
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
  return { rows: rows.length, width, tokens, positions, targets, ranges: rows };
}
