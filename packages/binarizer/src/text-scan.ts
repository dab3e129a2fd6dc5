import { throwIfAborted } from '@knn-lm/common';
import { LINE_END, LineScanner } from './line-scanner.js';
import { openTextSource, PIECE_BYTES, type TextRange, type TextSource } from './text-source.js';

/** What was found in a piece of a text. */
export interface ScannedPiece {
  /** Words and line ends. */
  readonly scanner: LineScanner;
  /** What the scanner's positions point into; both hold until the next piece is asked for. */
  readonly bytes: Uint8Array;
}

/** How reading a text is watched and stopped. */
export interface ScanControl {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of the file read since the last call. */
  readonly onBytes?: ((byteCount: number) => void) | undefined;
}

/**
 * Reads a range of a text in pieces and finds its words. Memory: a megabyte, and twice the longest word.
 *
 * @param range - what to read
 * @param control - stops it between two pieces
 * @throws BinarizerError `TEXT_NOT_UTF8`, `TEXT_NOT_GZIP`
 * @throws KnnLmError `FILE_…`; CancelledError
 */
export async function* scanText(range: TextRange, control: ScanControl = {}): AsyncGenerator<ScannedPiece> {
  const source = await openTextSource(range, control.signal);
  try {
    yield* scanSource(source, range, control);
  } finally {
    await source.close();
  }
}

async function* scanSource(
  source: TextSource,
  range: TextRange,
  { signal, onBytes }: ScanControl,
): AsyncGenerator<ScannedPiece> {
  const scanner = new LineScanner();
  const origin = { path: range.path, byteOffset: range.start };
  let bytes = new Uint8Array(2 * PIECE_BYTES);
  let filled = 0;
  for (let isLast = false; !isLast;) {
    throwIfAborted(signal, `stopped while reading ${range.path}`);
    const before = source.doneBytes;
    const count = await source.read(bytes.subarray(filled));
    filled += count;
    isLast = count === 0;
    if (source.doneBytes > before) onBytes?.(source.doneBytes - before);
    let used = 0;
    do {
      used = scanner.scan(bytes, used, filled, isLast, origin);
      if (scanner.count > 0) yield { scanner, bytes };
    } while (scanner.count > 0);
    bytes.copyWithin(0, used, filled);
    filled -= used;
    origin.byteOffset += used;
    if (bytes.length - filled < PIECE_BYTES) {
      // One word fills most of it.
      const larger = new Uint8Array(bytes.length * 2);
      larger.set(bytes);
      bytes = larger;
    }
  }
}

/**
 * Lines of a text with single spaces between the words, as Python's text mode and `split()` see them.
 *
 * @param range - what to read
 * @param signal - stops between two pieces
 * @throws BinarizerError `TEXT_NOT_UTF8`, `TEXT_NOT_GZIP`
 * @throws KnnLmError `FILE_…`; CancelledError
 */
export async function* readLines(range: TextRange, signal?: AbortSignal): AsyncGenerator<string[]> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  let words: string[] = [];
  for await (const { scanner, bytes } of scanText(range, { signal })) {
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
