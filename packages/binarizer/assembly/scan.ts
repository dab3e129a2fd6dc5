// Cuts UTF-8 bytes into words and lines as fairseq does: words are separated by Python's white space
// (`fairseq/tokenizer.py`), lines by the line ends of Python's text mode.
import { longLower, longUpper, lowerOf, shortLower, shortUpper, upperOf, WHOLE_KEY_BYTES } from './key';
import { isSpaceSequence, sequenceLength } from './utf8';

/** Words and line ends found at a time: their positions and keys fit the nearest cache. */
export const BATCH: u32 = 1024;

/** Bytes after a text's piece that may be read, whatever they are. */
export const READ_AHEAD: u32 = 32;

const LF: u32 = 0x0a;
const CR: u32 = 0x0d;
/** `</s>`, as the word it is looked up as. */
export const EOS_LOWER: u64 = 0x3e732f3c;
export const EOS_UPPER: u32 = 4 << 24;

/** Where a thread's batch lies: for each word its first byte (u32), its length (u32) and the two parts of its key. */
export let starts: usize = 0;
export let lengths: usize = 0;
export let lowers: usize = 0;
export let uppers: usize = 0;
/** Bytes of the four arrays. */
export const BATCH_BYTES: u32 = BATCH * 20;

export function placeBatch(address: usize): void {
  starts = address;
  lengths = address + 4 * (BATCH as usize);
  lowers = address + 8 * (BATCH as usize);
  uppers = address + 16 * (BATCH as usize);
}

/** How many words and line ends the last scan found; a line end has length 0. */
export let found: u32 = 0;
/** Address of the byte that is not UTF-8; 0 if there is none. */
export let invalid: usize = 0;
/** The byte before the next scan; a text begins like a line. */
let previousByte: u32 = LF;
/** Bytes that are known to belong to the word with which the next scan begins: each of a very long word is looked at once. */
let knownBytes: usize = 0;

export function beginText(): void {
  previousByte = LF;
  knownBytes = 0;
  invalid = 0;
}

/**
 * Scans bytes until they end or the batch is full.
 *
 * @returns where it stopped: what follows belongs to the next scan
 */
export function scan(begin: usize, end: usize, isLast: bool): usize {
  let count: u32 = 0;
  let position = begin;
  let known = knownBytes;
  knownBytes = 0;
  const wideEnd = end > (READ_AHEAD as usize) ? end - (READ_AHEAD as usize) : 0;
  while (position < end && count < BATCH) {
    // Nearly every word of nearly every text: up to 15 plain characters, and white space of one byte after them.
    if (position < wideEnd) {
      const length = plainBytes(position);
      const next: u32 = load<u8>(position + (length as usize));
      if (length > 0 && length < 16 && isSpace(next)) {
        if (length <= WHOLE_KEY_BYTES) {
          setWord(count, position, length, shortLower(position, length), shortUpper(position, length));
        } else {
          setWord(count, position, length, longLower(position, length), longUpper(length));
        }
        count++;
        known = 0;
        // A line end is looked at by itself.
        position += (length as usize) + ((next == 0x20) as usize);
        continue;
      }
    }
    const byte: u32 = load<u8>(position);
    if (byte == LF || byte == CR) {
      // CR LF is one end; the LF may come with the next piece.
      const previous: u32 = position > begin ? load<u8>(position - 1) : previousByte;
      if (byte == CR || previous != CR) setWord(count++, position, 0, EOS_LOWER, EOS_UPPER);
      position++;
      continue;
    }
    if (isSpace(byte)) {
      position++;
      continue;
    }
    const wordEnd = endOfWord(position + known, end);
    if (isCut || (wordEnd == end && !isLast)) {
      if (isCut && isLast) invalid = wordEnd;
      knownBytes = wordEnd - position;
      break;
    }
    known = 0;
    if (wordEnd == position) {
      // White space above ASCII.
      position += sequenceLength(position, end) as usize;
      continue;
    }
    const length = (wordEnd - position) as u32;
    setWord(count++, position, length, lowerOf(position, length), upperOf(position, length));
    position = wordEnd;
  }
  if (position > begin) previousByte = load<u8>(position - 1);
  const isOpenLine = previousByte != LF && previousByte != CR;
  if (isOpenLine && position == end && isLast && count < BATCH) {
    setWord(count++, position, 0, EOS_LOWER, EOS_UPPER);
    previousByte = LF;
  }
  found = count;
  return position;
}

function setWord(i: u32, start: usize, length: u32, lower: u64, upper: u32): void {
  const four: usize = 4 * (i as usize);
  store<u32>(starts + four, start as u32);
  store<u32>(lengths + four, length);
  store<u64>(lowers + 2 * four, lower);
  store<u32>(uppers + four, upper);
}

/** How many bytes from a position on are neither space nor control characters and are ASCII; at most 16. */
function plainBytes(position: usize): u32 {
  // As signed numbers, all others are below 0x21.
  const others = i8x16.bitmask(i8x16.lt_s(v128.load(position), i8x16.splat(0x21)));
  return ctz<u32>((others as u32) | 0x10000);
}

/** Python's white space in ASCII. */
function isSpace(byte: u32): bool {
  return byte == 0x20 || byte - 0x09 < 5 || byte - 0x1c < 4;
}

/** Whether {@link endOfWord} met the beginning of a character whose rest is not known yet, or is {@link invalid}. */
let isCut: bool = false;

/** The byte after a word that goes on at `position`, or after what is known of it. */
function endOfWord(position: usize, end: usize): usize {
  let wordEnd = position;
  isCut = false;
  while (wordEnd < end) {
    const byte: u32 = load<u8>(wordEnd);
    if (byte >= 0x80) {
      const length = sequenceLength(wordEnd, end);
      if (length <= 0) {
        if (length < 0) invalid = wordEnd;
        isCut = true;
        break;
      }
      if (isSpaceSequence(wordEnd)) break;
      wordEnd += length as usize;
    } else if (isSpace(byte)) {
      break;
    } else {
      wordEnd++;
    }
  }
  return wordEnd;
}
