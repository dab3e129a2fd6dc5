import { isUtf8 } from 'node:buffer';
import { throwIfAborted } from '@knn-lm/common';
import { splitWords } from './python-text.js';
import type { ScanControl } from './text-numbering.js';
import { openTextSource, PIECE_BYTES, type TextRange } from './text-source.js';
import { findInvalidUtf8, notUtf8, sequenceLength } from './utf8.js';

/**
 * Reads a range of a text as strings of some 256 kB; no character is divided.
 *
 * @param range - what to read
 * @param control - stops it between two pieces
 * @throws BinarizerError `TEXT_NOT_UTF8`, `TEXT_NOT_GZIP`
 * @throws KnnLmError `FILE_…`; CancelledError
 */
export async function* readText(range: TextRange, control: ScanControl): AsyncGenerator<string> {
  const { signal, onBytes } = control;
  const source = await openTextSource(range, signal);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  try {
    const bytes = new Uint8Array(PIECE_BYTES + 4);
    let byteOffset = range.start;
    let filled = 0;
    for (let isLast = false; !isLast;) {
      throwIfAborted(signal, `stopped while reading ${range.path}`);
      const before = source.doneBytes;
      const count = await source.read(bytes.subarray(filled));
      filled += count;
      isLast = count === 0;
      if (source.doneBytes > before) onBytes?.(source.doneBytes - before);
      const end = isLast ? filled : endOfCharacters(bytes, filled);
      const whole = bytes.subarray(0, end);
      if (!isUtf8(whole)) {
        const invalid = findInvalidUtf8(whole);
        throw notUtf8(range.path, byteOffset + invalid, whole[invalid]);
      }
      if (end > 0) yield decoder.decode(whole);
      bytes.copyWithin(0, end, filled);
      byteOffset += end;
      filled -= end;
    }
  } finally {
    await source.close();
  }
}

/** Where the last whole character ends. */
function endOfCharacters(bytes: Uint8Array, filled: number): number {
  for (let start = filled - 1; start >= Math.max(0, filled - 3); start--) {
    if (bytes[start] < 0x80) break;
    if (bytes[start] >= 0xc0) return sequenceLength(bytes, start, filled) === 0 ? start : filled;
  }
  return filled;
}

/** A piece of a text: a part of a line, or its last part, without the line end. */
export interface LinePart {
  readonly text: string;
  readonly endsLine: boolean;
}

/**
 * Divides a text into lines where Python's text mode does (`\n`, `\r\n`, `\r`). The last line need not have an end.
 *
 * @param pieces - of the text
 */
export async function* lineParts(pieces: AsyncIterable<string>): AsyncGenerator<LinePart> {
  let isOpen = false;
  let afterReturn = false;
  for await (const piece of pieces) {
    // The second half of a line end may come with the next piece.
    let start = afterReturn && piece.startsWith('\n') ? 1 : 0;
    afterReturn = piece.endsWith('\r');
    const lineEnd = /\r\n|\n|\r/g;
    lineEnd.lastIndex = start;
    for (let end = lineEnd.exec(piece); end !== null; end = lineEnd.exec(piece)) {
      yield { text: piece.slice(start, end.index), endsLine: true };
      start = lineEnd.lastIndex;
      isOpen = false;
    }
    if (start === piece.length) continue;
    isOpen = true;
    yield { text: piece.slice(start), endsLine: false };
  }
  if (isOpen) yield { text: '', endsLine: true };
}

/**
 * Words of each line, as Python's text mode and `split()` see them.
 *
 * @param range - what to read
 * @param signal - stops between two pieces
 * @throws BinarizerError `TEXT_NOT_UTF8`, `TEXT_NOT_GZIP`
 * @throws KnnLmError `FILE_…`; CancelledError
 */
export async function* readLines(range: TextRange, signal?: AbortSignal): AsyncGenerator<string[]> {
  let line = '';
  for await (const { text, endsLine } of lineParts(readText(range, { signal }))) {
    line += text;
    if (!endsLine) continue;
    yield splitWords(line);
    line = '';
  }
}
