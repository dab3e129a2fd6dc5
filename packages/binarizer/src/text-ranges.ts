import { RandomAccessFile } from '@knn-lm/common';
import type { InputFile } from './input-files.js';
import type { TextRange } from './text-scan.js';

const LF = 0x0a;
const CR = 0x0d;

/** Bytes looked at for the next line end at a time. */
const PIECE_BYTES = 65_536;

/**
 * Cuts texts into ranges of about equal size that begin and end at line ends. What is made from the ranges in order is the
 * same however many there are.
 *
 * @param files - in order
 * @param parts - about how many ranges
 * @param leastBytes - a range has at least about as many
 */
export function cutTexts(files: readonly InputFile[], parts: number, leastBytes: number): TextRange[] {
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const rangeBytes = Math.max(Math.ceil(total / parts), leastBytes, 1);
  return files.flatMap(({ path, size }) => {
    const count = Math.max(1, Math.round(size / rangeBytes));
    const cuts = count === 1 ? [] : lineStartsNear(path, size, count);
    const bounds = [0, ...cuts, size];
    return bounds.slice(1).map((end, i) => ({ path, start: bounds[i], end }));
  });
}

function lineStartsNear(path: string, size: number, count: number): number[] {
  const file = new RandomAccessFile(path, 'read the text');
  try {
    const cuts = new Set<number>();
    for (let i = 1; i < count; i++) cuts.add(lineStartFrom(file, Math.floor((size / count) * i)));
    return [...cuts].filter((cut) => cut > 0 && cut < size);
  } finally {
    file.close();
  }
}

/** The first line start at or after a byte; the file's size if there is none. */
function lineStartFrom(file: RandomAccessFile, byteOffset: number): number {
  for (let start = Math.max(0, byteOffset - 1); start < file.size; start += PIECE_BYTES) {
    const piece = file.readBytes(start, Math.min(PIECE_BYTES, file.size - start));
    const lineEnd = piece.findIndex((byte) => byte === LF || byte === CR);
    if (lineEnd < 0) continue;
    const next = start + lineEnd + 1;
    const isCrLf = piece[lineEnd] === CR && next < file.size && file.readBytes(next, 1)[0] === LF;
    return isCrLf ? next + 1 : next;
  }
  return file.size;
}
