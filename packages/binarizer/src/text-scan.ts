import { open, type FileHandle } from 'node:fs/promises';
import { describeFileError, throwIfAborted } from '@knn-lm/common';
import { LineScanner } from './line-scanner.js';

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

/**
 * Receives what was found in each piece of a text.
 *
 * @param scanner - words and line ends
 * @param bytes - what the scanner's positions point into
 * @param doneBytes - how far the range is read
 */
export type ScanConsumer = (scanner: LineScanner, bytes: Uint8Array, doneBytes: number) => void | Promise<void>;

/**
 * Reads a range of a text file in pieces and hands on its words. Memory: a few megabytes, and the longest word.
 *
 * @param range - what to read
 * @param consume - called for each piece, in order
 * @param signal - stops between two pieces
 * @throws BinarizerError `TEXT_NOT_UTF8`
 * @throws KnnLmError `FILE_…`; CancelledError
 */
export async function scanText(range: TextRange, consume: ScanConsumer, signal?: AbortSignal): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(range.path, 'r');
  } catch (cause) {
    throw describeFileError(cause, range.path, 'read the text');
  }
  try {
    await scanPieces(file, range, consume, signal);
  } catch (cause) {
    throw describeFileError(cause, range.path, 'read the text');
  } finally {
    await file.close();
  }
}

async function scanPieces(file: FileHandle, range: TextRange, consume: ScanConsumer, signal?: AbortSignal) {
  let bytes = new Uint8Array(CHUNK_BYTES);
  let scanner = new LineScanner(bytes.length);
  const origin = { path: range.path, byteOffset: range.start };
  let filled = 0;
  let position = range.start;
  for (let isLast = range.start >= range.end; !isLast; ) {
    throwIfAborted(signal, 'stopped while reading the text');
    const wanted = Math.min(bytes.length - filled, range.end - position);
    const { bytesRead } = await file.read(bytes, filled, wanted, position);
    filled += bytesRead;
    position += bytesRead;
    // A file that became shorter meanwhile ends the text, too.
    isLast = position >= range.end || bytesRead === 0;
    const used = scanner.scan(bytes, filled, isLast, origin);
    await consume(scanner, bytes, position - range.start);
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
