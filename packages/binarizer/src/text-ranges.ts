import { RandomAccessFile } from '@knn-lm/common';
import type { InputFile } from './input-files.js';
import type { TextRange } from './text-source.js';

const LF = 0x0a;
const CR = 0x0d;

/** Bytes looked at for the next line end at a time. */
const PIECE_BYTES = 16_384;

/**
 * Cuts texts into ranges that begin and end at line ends. What is made from the ranges in order is the same however many
 * there are. A stream or a compressed file is one range.
 *
 * @param files - in order
 * @param rangeBytes - about how large a range is; a longer line is not cut
 */
export function cutTexts(files: readonly InputFile[], rangeBytes: number): TextRange[] {
  return files.flatMap(({ path, size }): TextRange[] => {
    if (size === undefined) return [{ path, start: 0, end: undefined }];
    const bounds = [...(size > rangeBytes ? lineStarts(path, size, rangeBytes) : [0]), size];
    return bounds.slice(1).map((end, i) => ({ path, start: bounds[i], end }));
  });
}

/** The first line start, and the first one at or after every so many bytes. */
function lineStarts(path: string, size: number, rangeBytes: number): number[] {
  const file = new RandomAccessFile(path, 'read the text');
  try {
    const found = [0];
    const end = Math.min(size, file.size);
    for (let wanted = rangeBytes; wanted < end; wanted += rangeBytes) {
      // In a line longer than the range its end was found before.
      if (wanted <= found[found.length - 1]) continue;
      const start = lineStartFrom(file, wanted);
      if (start >= end) break;
      found.push(start);
    }
    return found;
  } finally {
    file.close();
  }
}

/** The first line start at or after a byte; the file's size if there is none. */
function lineStartFrom(file: RandomAccessFile, byteOffset: number): number {
  for (let start = byteOffset - 1; start < file.size; start += PIECE_BYTES) {
    const piece = file.readBytes(start, Math.min(PIECE_BYTES, file.size - start));
    const ends = [piece.indexOf(LF), piece.indexOf(CR)].filter((at) => at >= 0);
    if (ends.length === 0) continue;
    const lineEnd = Math.min(...ends);
    const next = start + lineEnd + 1;
    const isCrLf = piece[lineEnd] === CR && next < file.size && file.readBytes(next, 1)[0] === LF;
    return isCrLf ? next + 1 : next;
  }
  return file.size;
}
