/** Words of at most so many bytes are told by their key alone. */
export const WHOLE_KEY_BYTES = 11;

/** In the highest byte of {@link WordKey.c}, where short words have their length: the word is longer than its key. */
const LONG = 0xff;

/**
 * A word's key of 96 bits. Of a word of up to 11 bytes it is the bytes and their number; of a longer one its first four
 * bytes, its FNV-1a hash and its length.
 */
export interface WordKey {
  /** The first four bytes, little-endian; bytes after the word's end are 0. */
  readonly a: number;
  /** The next four bytes; of a long word its hash. */
  readonly b: number;
  /** The next three bytes, and the number of bytes; of a long word the length and a mark. */
  readonly c: number;
}

/**
 * Makes a word's key.
 *
 * @param bytes - holds the word
 * @param start - its first byte
 * @param end - the byte after it
 */
export function wordKey(bytes: Uint8Array, start: number, end: number): WordKey {
  const a = fourBytes(bytes, start, end);
  return end - start > WHOLE_KEY_BYTES
    ? { a, b: fnv1a(bytes, start, end), c: longKey(end - start) }
    : { a, b: fourBytes(bytes, start + 4, end), c: shortKey(fourBytes(bytes, start + 8, end), end - start) };
}

/** {@link WordKey.c} of a word of up to 11 bytes, of those after the eighth. */
export function shortKey(lastBytes: number, length: number): number {
  return lastBytes | (length << 24);
}

/** {@link WordKey.c} of a longer word. */
export function longKey(length: number): number {
  return (length & 0xffffff) | (LONG << 24);
}

/** Four bytes from a position on, little-endian; 0 for those after the end. */
function fourBytes(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let i = Math.min(end, start + 4) - 1; i >= start; i--) value = (value << 8) | bytes[i];
  return value;
}

/** http://www.isthe.com/chongo/tech/comp/fnv, as a signed 32-bit number. */
export function fnv1a(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  return hash;
}
