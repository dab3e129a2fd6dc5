// A word's key of 96 bits. Of a word of up to 11 bytes it is the bytes and their number; of a longer one a hash of 64 bits
// and the length.

/** Words of at most so many bytes are told by their key alone. */
export const WHOLE_KEY_BYTES: u32 = 11;

/** In the highest byte of the upper part, where short words have their length. */
const LONG: u32 = 0xff000000;

/** Whether the key's upper part is that of a word which is longer than its key. */
export function isLong(upper: u32): bool {
  return upper >= LONG;
}

/** The first eight bytes of a short word; of its bytes up to 16 may be read. */
export function shortLower(word: usize, length: u32): u64 {
  const eight = load<u64>(word);
  return length >= 8 ? eight : eight & (((1 as u64) << (8 * (length as u64))) - 1);
}

/** What follows of a short word, and its length. */
export function shortUpper(word: usize, length: u32): u32 {
  const four = load<u32>(word, 8);
  const mask: u32 = length > 8 ? ((1 as u32) << (8 * (length - 8))) - 1 : 0;
  return (four & mask) | (length << 24);
}

/** A hash of a long word: eight bytes at a time, multiplied by odd numbers of xxHash64. */
export function longLower(word: usize, length: u32): u64 {
  let hash: u64 = 0x9e3779b185ebca87;
  const end = word + (length as usize);
  let position = word;
  for (; position + 8 <= end; position += 8) hash = mixed(hash, load<u64>(position));
  const rest = (end - position) as u64;
  return mixed(hash, rest == 0 ? 0 : load<u64>(position) & (((1 as u64) << (8 * rest)) - 1));
}

function mixed(hash: u64, eight: u64): u64 {
  const product = (hash ^ eight) * 0xc2b2ae3d27d4eb4f;
  return product ^ (product >> 29);
}

/** Of a long word, its length (the lower 24 bits of it). */
export function longUpper(length: u32): u32 {
  return (length & 0xffffff) | LONG;
}

export function lowerOf(word: usize, length: u32): u64 {
  return length <= WHOLE_KEY_BYTES ? shortLower(word, length) : longLower(word, length);
}

export function upperOf(word: usize, length: u32): u32 {
  return length <= WHOLE_KEY_BYTES ? shortUpper(word, length) : longUpper(length);
}

/** Where the search for a key begins; all its bits take part. */
export function hashOf(lower: u64, upper: u32): u32 {
  const both = (lower * 0x9e3779b185ebca87) ^ ((upper as u64) * 0xc2b2ae3d27d4eb4f);
  return (((both ^ (both >> 32)) * 0x165667b19e3779f9) >> 32) as u32;
}
