import { BinarizerError } from './errors.js';
import { isPythonSpace } from './python-text.js';
import { hashSeed, hashStep } from './word-table.js';
import { isSpaceSequence, sequenceLength } from './utf8.js';

/** In {@link LineScanner.starts}: not a word, the end of a line. */
export const LINE_END = -1;

const LF = 0x0a;
const CR = 0x0d;

const asciiSpace = Uint8Array.from({ length: 128 }, (_, byte) => Number(isPythonSpace(byte)));

/** Where a text comes from, for messages. */
export interface TextOrigin {
  /** The file. */
  readonly path: string;
  /** Byte of the file at which the scanned bytes begin. */
  byteOffset: number;
}

/**
 * Cuts UTF-8 bytes into words and lines as fairseq does: words are separated by Python's white space
 * (`fairseq/tokenizer.py`), lines by the line ends of Python's text mode. Works on pieces of a text: what a piece leaves
 * unfinished is scanned again with the next one. No strings are made.
 */
export class LineScanner {
  /** First byte of each word, or {@link LINE_END}. */
  readonly starts: Int32Array;
  /** Byte after each word. */
  readonly ends: Int32Array;
  /** Hash of each word's bytes, as {@link hashStep} makes it. */
  readonly hashes: Int32Array;
  /** How many words and line ends the last scan found. */
  count = 0;
  #lineHasBytes = false;
  #afterCarriageReturn = false;

  /** @param capacity - the most bytes that one scan will be given */
  constructor(capacity: number) {
    // A byte makes one word or one line end at most; the end of the text may end one more line.
    this.starts = new Int32Array(capacity + 1);
    this.ends = new Int32Array(capacity + 1);
    this.hashes = new Int32Array(capacity + 1);
  }

  /**
   * Scans the first `end` bytes.
   *
   * @param bytes - a piece of the text, beginning with what the previous scan did not use
   * @param end - how many bytes
   * @param isLast - whether the text ends here
   * @param origin - for the message
   * @returns how many bytes were used up; the rest belongs in front of the next piece
   * @throws {@link BinarizerError} `TEXT_NOT_UTF8`
   */
  scan(bytes: Uint8Array, end: number, isLast: boolean, origin: TextOrigin): number {
    this.count = 0;
    let position = 0;
    while (position < end) {
      const byte = bytes[position];
      if (byte === LF || byte === CR) {
        // CR LF is one end; the LF may come with the next piece.
        if (byte === CR || !this.#afterCarriageReturn) this.#endLine();
        this.#afterCarriageReturn = byte === CR;
        position++;
        continue;
      }
      if (byte < 0x80 && asciiSpace[byte] === 1) {
        position++;
      } else {
        const next = this.#scanWord(bytes, position, end, isLast, origin);
        if (next < 0) break;
        position = next;
      }
      this.#lineHasBytes = true;
      this.#afterCarriageReturn = false;
    }
    if (isLast && this.#lineHasBytes) this.#endLine();
    return position;
  }

  /** A scanner for larger pieces that goes on where this one stopped. */
  enlarged(capacity: number): LineScanner {
    const scanner = new LineScanner(capacity);
    scanner.#lineHasBytes = this.#lineHasBytes;
    scanner.#afterCarriageReturn = this.#afterCarriageReturn;
    return scanner;
  }

  #endLine(): void {
    this.starts[this.count++] = LINE_END;
    this.#lineHasBytes = false;
  }

  /** Scans a word, or one white space character above ASCII; returns the byte after it, or -1 if it is not whole. */
  #scanWord(bytes: Uint8Array, start: number, end: number, isLast: boolean, origin: TextOrigin): number {
    let position = start;
    let hash = hashSeed;
    for (;;) {
      if (position === end) {
        if (!isLast) return -1;
        break;
      }
      const byte = bytes[position];
      if (byte < 0x80) {
        if (asciiSpace[byte] === 1) break;
        hash = hashStep(hash, byte);
        position++;
        continue;
      }
      const length = sequenceLength(bytes, position, end);
      if (length === 0 && !isLast) return -1;
      if (length <= 0) throw notUtf8(origin.path, origin.byteOffset + position, byte);
      if (isSpaceSequence(bytes, position)) {
        if (position === start) return position + length;
        break;
      }
      for (const last = position + length; position < last; position++)
        hash = hashStep(hash, bytes[position]);
    }
    const index = this.count++;
    this.starts[index] = start;
    this.ends[index] = position;
    this.hashes[index] = hash;
    return position;
  }
}

/** The error for bytes that are not UTF-8; Python's strict decoding fails on the same ones. */
export function notUtf8(path: string, byteOffset: number, byte: number): BinarizerError {
  const found = `0x${byte.toString(16).padStart(2, '0')}`;
  return new BinarizerError('TEXT_NOT_UTF8', `${path}: not UTF-8 at byte ${byteOffset} (found ${found})`, {
    hint: 'Convert the file to UTF-8 (iconv -f … -t UTF-8), or remove the damaged bytes.',
    details: { path, byteOffset, found, expected: 'UTF-8' },
  });
}
