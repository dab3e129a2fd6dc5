import type { WordTable } from './word-table.js';

/** Words and how often each occurs, by id of the table. */
export interface WordCounts {
  readonly table: WordTable;
  readonly counts: Float64Array;
}

/**
 * The order of a dictionary: the most frequent word first, ties by code point (which is the order of UTF-8 bytes, and of
 * strings in Python).
 *
 * @param words - with their counts
 * @returns `[size]` ids
 */
export function idsByCount({ table, counts }: WordCounts): Uint32Array {
  const { ids, groupEnds } = groupedByCount(counts);
  let start = 0;
  for (const end of groupEnds) {
    sortWords(table, ids.subarray(start, end), 0);
    start = end;
  }
  return ids;
}

/** Ids in groups of one count, the highest count first: a counting sort, as few counts are different. */
function groupedByCount(counts: Float64Array): { ids: Uint32Array; groupEnds: number[] } {
  const next = new Map<number, number>();
  for (const count of counts) next.set(count, (next.get(count) ?? 0) + 1);
  const groupEnds: number[] = [];
  let position = 0;
  for (const count of Float64Array.from(next.keys()).sort().reverse()) {
    const size = next.get(count) ?? 0;
    next.set(count, position);
    position += size;
    groupEnds.push(position);
  }
  const ids = new Uint32Array(counts.length);
  for (let id = 0; id < counts.length; id++) {
    const place = next.get(counts[id]) ?? 0;
    ids[place] = id;
    next.set(counts[id], place + 1);
  }
  return { ids, groupEnds };
}

/** So few words are compared byte by byte. */
const SMALL_GROUP = 8;
/** Words that begin with so many equal bytes are, too: this bounds the recursion. */
const MAX_DEPTH = 64;

/**
 * Sorts ids by their words: by four bytes at a time, as numbers, which the engine sorts natively. (Half of a text's
 * words occur once; comparing those one with another took a fifth of the time of preprocessing.)
 */
function sortWords(table: WordTable, ids: Uint32Array, depth: number): void {
  if (ids.length === 1) return;
  if (ids.length <= SMALL_GROUP || depth >= MAX_DEPTH) {
    ids.sort((a, b) => table.compare(a, b));
    return;
  }
  // 64-bit numbers, little-endian: the id is the lower half.
  const halves = new Uint32Array(ids.length * 2);
  for (let i = 0; i < ids.length; i++) {
    halves[2 * i] = ids[i];
    halves[2 * i + 1] = table.fourBytes(ids[i], depth);
  }
  new BigUint64Array(halves.buffer).sort();
  for (let i = 0; i < ids.length; i++) ids[i] = halves[2 * i];
  let start = 0;
  for (let end = 1; end <= ids.length; end++) {
    if (end < ids.length && halves[2 * end + 1] === halves[2 * start + 1]) continue;
    sortWords(table, ids.subarray(start, end), depth + 4);
    start = end;
  }
}
