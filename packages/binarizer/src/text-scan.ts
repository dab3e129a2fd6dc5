import { open, type FileHandle } from 'node:fs/promises';
import { describeFileError, throwIfAborted } from '@knn-lm/common';
import { LINE_END, LineScanner } from './line-scanner.js';

/** Bytes read at a time; the scanner's arrays take 12 times as much. */
const CHUNK_BYTES = 2 ** 19;

/** A part of a text file that begins and ends at line ends. */
export interface TextRange {
  readonly path: string;
  /** First byte. */
  readonly start: number;
  /** The byte after the last one. */
  readonly end: number;
}

/** What was found in a piece of a text. */
export interface ScannedPiece {
  /** Words and line ends. */
  readonly scanner: LineScanner;
  /** What the scanner's positions point into; it holds until the next piece is asked for. */
  readonly bytes: Uint8Array;
  /** How far the range is read. */
  readonly doneBytes: number;
}

/**
 * Reads a range of a text file in pieces and finds its words. Memory: a few megabytes, and the longest word.
 *
 * @param range - what to read
 * @param signal - stops between two pieces
 * @throws BinarizerError `TEXT_NOT_UTF8`
 * @throws KnnLmError `FILE_…`; CancelledError
 */
export async function* scanText(range: TextRange, signal?: AbortSignal): AsyncGenerator<ScannedPiece> {
  let file: FileHandle;
  try {
    file = await open(range.path, 'r');
  } catch (cause) {
    throw describeFileError(cause, range.path, 'read the text');
  }
  try {
    yield* scanPieces(file, range, signal);
  } finally {
    await file.close();
  }
}

async function* scanPieces(
  file: FileHandle,
  range: TextRange,
  signal?: AbortSignal,
): AsyncGenerator<ScannedPiece> {
  let bytes = new Uint8Array(CHUNK_BYTES);
  let scanner = new LineScanner(bytes.length);
  const origin = { path: range.path, byteOffset: range.start };
  let filled = 0;
  let position = range.start;
  for (let isLast = range.start >= range.end; !isLast;) {
    throwIfAborted(signal, 'stopped while reading the text');
    const count = await readSome(file, range.path, bytes.subarray(filled), position, range.end);
    filled += count;
    position += count;
    // A file that became shorter meanwhile ends the text, too.
    isLast = position >= range.end || count === 0;
    const used = scanner.scan(bytes, filled, isLast, origin);
    yield { scanner, bytes, doneBytes: position - range.start };
    bytes.copyWithin(0, used, filled);
    filled -= used;
    origin.byteOffset += used;
    if (filled === bytes.length) {
      // One word fills all of it.
      const larger = new Uint8Array(bytes.length * 2);
      larger.set(bytes);
      bytes = larger;
      scanner = scanner.enlarged(bytes.length);
    }
  }
}

async function readSome(
  file: FileHandle,
  path: string,
  target: Uint8Array,
  position: number,
  end: number,
): Promise<number> {
  try {
    const { bytesRead } = await file.read(target, 0, Math.min(target.length, end - position), position);
    return bytesRead;
  } catch (cause) {
    throw describeFileError(cause, path, 'read the text');
  }
}

/**
 * Lines of a text file with single spaces between the words, as Python's text mode and `split()` see them.
 *
 * @param range - what to read
 * @throws BinarizerError `TEXT_NOT_UTF8`
 * @throws KnnLmError `FILE_…`
 */
export async function* readLines(range: TextRange): AsyncGenerator<string[]> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let words: string[] = [];
  for await (const { scanner, bytes } of scanText(range)) {
    for (let i = 0; i < scanner.count; i++) {
      if (scanner.starts[i] !== LINE_END) {
        words.push(decoder.decode(bytes.subarray(scanner.starts[i], scanner.ends[i])));
        continue;
      }
      yield words;
      words = [];
    }
  }
}
