import { BinarizerError } from './errors.js';
import { isPythonSpace } from './python-text.js';
import { isSpaceSequence, sequenceLength } from './utf8.js';
import type { ScannedWords } from './word-table.js';
import { shortKey, WHOLE_KEY_BYTES, wordKey, type WordKey } from './word-key.js';

/** In {@link LineScanner.starts}: the end of a line. Its length and key are those of `</s>`, so that it is looked up as such. */
export const LINE_END = -1;

const eosBytes = new TextEncoder().encode('</s>');
const eosKey = wordKey(eosBytes, 0, eosBytes.length);

const LF = 0x0a;
const CR = 0x0d;

/** What a byte is in a text: a part of a word, white space, a line end, or a part of a character above ASCII. */
const WORD = 0;
const SPACE = 1;
const LINE = 2;
const ABOVE_ASCII = 3;

/** Words of the first scan; each later one may have so many more. */
const FIRST_LIMIT = 32;

/** Bytes of the longest word that is scanned without a loop, and one more. */
const WIDE_BYTES = 12;

const byteKinds = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte >= 0x80) return ABOVE_ASCII;
  if (byte === LF || byte === CR) return LINE;
  return isPythonSpace(byte) ? SPACE : WORD;
});

/** Where a text comes from, for messages. */
export interface TextOrigin {
  /** The file. */
  readonly path: string;
  /** Byte of the text at which the scanned bytes begin. */
  byteOffset: number;
}

/**
 * Cuts UTF-8 bytes into words and lines as fairseq does: words are separated by Python's white space
 * (`fairseq/tokenizer.py`), lines by the line ends of Python's text mode. Works on pieces of a text: what a piece leaves
 * unfinished is scanned again with the next one. No strings are made.
 */
export class LineScanner implements ScannedWords {
  /** First byte of each word, or {@link LINE_END}. */
  readonly starts: Int32Array;
  /** Byte after each word. */
  readonly ends: Int32Array;
  readonly keys: Int32Array;
  /** How many words and line ends the last scan found. */
  count = 0;
  /** The byte before the next scan; a text begins like a line. */
  #previousByte = LF;
  /**
   * The most words and line ends of the next scan. It grows from scan to scan: by the first, short ones the engine has seen
   * the whole loop, its end too, before it compiles it. (Otherwise it compiled it four times, which cost a tenth of a
   * second in each thread.)
   */
  #limit = FIRST_LIMIT;

  /** @param capacity - the most words and line ends of one scan; the arrays should fit the processor's cache */
  constructor(capacity = 8192) {
    this.starts = new Int32Array(capacity);
    this.ends = new Int32Array(capacity);
    this.keys = new Int32Array(capacity * 3);
  }

  /**
   * Scans bytes until they end or the arrays are full.
   *
   * @param bytes - a piece of the text
   * @param begin - where the last scan stopped, which may have been in another array
   * @param end - the byte after the last known one
   * @param isLast - whether the text ends there
   * @param origin - for the message
   * @returns where the scan stopped: what follows belongs to the next scan. It is done with these bytes when it found
   * nothing
   * @throws {@link BinarizerError} `TEXT_NOT_UTF8`
   */
  scan(bytes: Uint8Array, begin: number, end: number, isLast: boolean, origin: TextOrigin): number {
    const { starts, ends, keys } = this;
    const limit = this.#nextLimit();
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const wideEnd = Math.min(end, bytes.length - WIDE_BYTES + 1);
    let count = 0;
    let position = begin;
    while (position < end && count < limit) {
      const kind = byteKinds[bytes[position]];
      if (kind === SPACE) {
        position++;
        continue;
      }
      if (kind === LINE) {
        // CR LF is one end; the LF may come with the next piece.
        const previous = position > begin ? bytes[position - 1] : this.#previousByte;
        if (bytes[position] === CR || previous !== CR) this.#setLineEnd(count++);
        position++;
        continue;
      }
      // Nearly every word of nearly every text is done with this.
      let wordEnd = position < wideEnd ? position + shortWord(view, position, keys, 3 * count) : position;
      if (!isWholeWord(bytes, position, wordEnd, end)) {
        wordEnd = endOfWord(bytes, Math.min(wordEnd, end), end, isLast, origin);
        if (wordEnd < 0 || (wordEnd === end && !isLast)) break;
        if (wordEnd === position) {
          // White space above ASCII.
          position += sequenceLength(bytes, position, end);
          continue;
        }
        this.#setKey(count, wordKey(bytes, position, wordEnd));
      }
      starts[count] = position;
      ends[count++] = wordEnd;
      position = wordEnd;
    }
    if (position > begin) this.#previousByte = bytes[position - 1];
    const isOpenLine = this.#previousByte !== LF && this.#previousByte !== CR;
    if (isOpenLine && position === end && isLast && count < limit) {
      this.#setLineEnd(count++);
      this.#previousByte = LF;
    }
    this.count = count;
    return position;
  }

  #nextLimit(): number {
    const limit = Math.min(this.#limit, this.starts.length);
    this.#limit = limit + FIRST_LIMIT;
    return limit;
  }

  #setLineEnd(index: number): void {
    this.starts[index] = LINE_END;
    this.ends[index] = LINE_END + eosBytes.length;
    this.#setKey(index, eosKey);
  }

  #setKey(index: number, { a, b, c }: WordKey): void {
    this.keys[3 * index] = a;
    this.keys[3 * index + 1] = b;
    this.keys[3 * index + 2] = c;
  }
}

/**
 * Measures the plain characters of a word and makes its key on the way: four bytes at a time.
 *
 * @param view - of the text, with {@link WIDE_BYTES} from the position on
 * @param position - where the word begins
 * @param keys - receives the key of a word of so many bytes
 * @param at - where in `keys`
 * @returns how many bytes from the position on are plain ({@link plainBytes}), up to 12
 */
function shortWord(view: DataView, position: number, keys: Int32Array, at: number): number {
  let a = view.getInt32(position, true);
  let b = 0;
  let c = 0;
  let length = plainBytes(a);
  if (length < 4) {
    a &= ~(-1 << (8 * length));
  } else {
    b = view.getInt32(position + 4, true);
    length = 4 + plainBytes(b);
    if (length < 8) {
      b &= ~(-1 << (8 * length));
    } else {
      c = view.getInt32(position + 8, true);
      length = 8 + plainBytes(c);
      c &= length < 12 ? ~(-1 << (8 * length)) : -1;
    }
  }
  keys[at] = a;
  keys[at + 1] = b;
  keys[at + 2] = shortKey(c, length);
  return length;
}

/** Whether plain characters are a word on their own and {@link shortWord} has made its key. */
function isWholeWord(bytes: Uint8Array, start: number, wordEnd: number, end: number): boolean {
  const length = wordEnd - start;
  if (length === 0 || length > WHOLE_KEY_BYTES || wordEnd >= end) return false;
  const next = byteKinds[bytes[wordEnd]];
  return next === SPACE || next === LINE;
}

/** How many bytes of four, little-endian, from the first on are neither space nor control characters and are ASCII. */
function plainBytes(four: number): number {
  // Sets the highest bit of each byte below 0x21 or above 0x7f; a borrow disturbs only bytes after such a one.
  const others = ((four - 0x21212121) | four) & 0x80808080;
  // The number of zero bits at the end, in bytes; 4 of 0.
  return (32 - Math.clz32(~others & (others - 1))) >> 3;
}

/** The byte after a word that goes on at `position`; -1 if it ends with a character that is not whole. */
function endOfWord(
  bytes: Uint8Array,
  position: number,
  end: number,
  isLast: boolean,
  origin: TextOrigin,
): number {
  let wordEnd = position;
  while (wordEnd < end) {
    const kind = byteKinds[bytes[wordEnd]];
    if (kind === WORD) {
      wordEnd++;
    } else if (kind === ABOVE_ASCII) {
      const length = sequenceLength(bytes, wordEnd, end);
      if (length === 0 && !isLast) return -1;
      if (length <= 0) throw notUtf8(origin.path, origin.byteOffset + wordEnd, bytes[wordEnd]);
      if (isSpaceSequence(bytes, wordEnd)) break;
      wordEnd += length;
    } else {
      break;
    }
  }
  return wordEnd;
}

/** The error for bytes that are not UTF-8; Python's strict decoding fails on the same ones. */
export function notUtf8(path: string, byteOffset: number, byte: number): BinarizerError {
  const found = `0x${byte.toString(16).padStart(2, '0')}`;
  return new BinarizerError('TEXT_NOT_UTF8', `${path}: not UTF-8 at byte ${byteOffset} (found ${found})`, {
    hint: 'Convert the file to UTF-8 (iconv -f … -t UTF-8), or remove the damaged bytes.',
    details: { path, byteOffset, found, expected: 'UTF-8' },
  });
}
