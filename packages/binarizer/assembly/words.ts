// The words and their ids: one table that all threads read without a lock and add to with it.
//
// Open addressing with linear probing. A slot of 16 bytes has all that most look-ups need, so that one costs one cache
// miss: the key's lower part (u64), its upper part (u32), and the id + 1 (u32; 0 is a free slot). The last two are written
// at once and last, so that a reader sees a slot whole or free. A reader of an outdated table misses what came later, and
// then looks again with the lock.
import { hashOf, isLong } from './key';
import { MOST_WORDS, PAGES, SLOTS, take, WORD_BLOCK, WORD_COUNT, WORDS_PER_PAGE } from './memory';

/** Bytes of a slot. */
export const SLOT_BYTES: u32 = 16;

/** Words lie in blocks of this size, one after the other, each with its length (u32) before it. */
const BLOCK_BYTES: u32 = 1 << 18;

/** How many ids there are. */
export function wordCount(): u32 {
  return atomic.load<u32>(WORD_COUNT);
}

/** The slots: their address in the lower half, in the upper one what to mask the byte offset of a slot with. */
export function slots(): u64 {
  return atomic.load<u64>(SLOTS);
}

/** Address of a word's bytes. */
export function wordAddress(id: u32): usize {
  const page: usize = load<u32>(PAGES + 4 * ((id / WORDS_PER_PAGE) as usize));
  return load<u32>(page + 4 * ((id % WORDS_PER_PAGE) as usize)) as usize;
}

/** Bytes of a word. */
export function wordLength(address: usize): u32 {
  return load<u32>(address - 4);
}

/** Makes the first slots. With the lock. @returns whether there was memory */
export function makeSlots(capacity: u32): bool {
  const address = take((capacity as u64) * SLOT_BYTES);
  if (address == 0) return false;
  atomic.store<u64>(SLOTS, (address as u64) | ((((capacity - 1) * SLOT_BYTES) as u64) << 32));
  return true;
}

/** Address of the slot that a word has, or of the free one where it belongs. */
export function slotOf(table: u64, lower: u64, upper: u32, word: usize, length: u32): usize {
  const first = (table & 0xffffffff) as usize;
  const mask = (table >> 32) as u32;
  let offset = (hashOf(lower, upper) * SLOT_BYTES) & mask;
  while (true) {
    const slot = first + (offset as usize);
    const upperAndId = atomic.load<u64>(slot, 8);
    if (upperAndId == 0) return slot;
    if ((upperAndId as u32) == upper && load<u64>(slot) == lower) {
      if (!isLong(upper) || isWord(((upperAndId >> 32) as u32) - 1, word, length)) return slot;
    }
    offset = (offset + SLOT_BYTES) & mask;
  }
}

/** Id of a word; -1 if it has none. */
export function find(table: u64, lower: u64, upper: u32, word: usize, length: u32): i32 {
  return (load<u32>(slotOf(table, lower, upper, word, length), 12) as i32) - 1;
}

function isWord(id: u32, word: usize, length: u32): bool {
  const address = wordAddress(id);
  return wordLength(address) == length && memory.compare(address, word, length as usize) == 0;
}

/**
 * Gives a word the next id, even if it has one already: the new id is the one that is found from then on. With the lock.
 *
 * @returns the id; -1 when there is no memory for it
 */
export function add(lower: u64, upper: u32, word: usize, length: u32): i32 {
  const id = wordCount();
  if (id >= MOST_WORDS || !reserveSlot(id + 1)) return -1;
  if (!keepWord(id, word, length)) return -1;
  atomic.store<u32>(WORD_COUNT, id + 1);
  const slot = slotOf(slots(), lower, upper, word, length);
  store<u64>(slot, lower);
  atomic.store<u64>(slot, (upper as u64) | (((id + 1) as u64) << 32), 8);
  return id;
}

function keepWord(id: u32, word: usize, length: u32): bool {
  const page = PAGES + 4 * ((id / WORDS_PER_PAGE) as usize);
  if (load<u32>(page) == 0) {
    const addresses = take(4 * (WORDS_PER_PAGE as u64));
    if (addresses == 0) return false;
    store<u32>(page, addresses as u32);
  }
  // The block's next byte, and the byte after it.
  let next: u64 = load<u32>(WORD_BLOCK);
  const needed = (((length as u64) + 3) & ~3) + 4;
  if (next + needed > load<u32>(WORD_BLOCK, 4)) {
    const size = max<u64>(BLOCK_BYTES, needed);
    next = take(size);
    if (next == 0) return false;
    store<u32>(WORD_BLOCK, (next + size) as u32, 4);
  }
  const address = (next + 4) as usize;
  store<u32>(next as usize, length);
  memory.copy(address, word, length as usize);
  store<u32>(WORD_BLOCK, (next + needed) as u32);
  store<u32>((load<u32>(page) as usize) + 4 * ((id % WORDS_PER_PAGE) as usize), address as u32);
  return true;
}

/** Keeps the slots at most five eighths full, so that most words are found in the first slot that is looked at. */
function reserveSlot(words: u32): bool {
  const table = slots();
  const bytes = ((table >> 32) as u64) + SLOT_BYTES;
  if ((words as u64) * SLOT_BYTES * 8 <= bytes * 5) return true;
  const larger = take(bytes * 2);
  if (larger == 0) return false;
  const first = (table & 0xffffffff) as usize;
  const mask = (bytes * 2 - SLOT_BYTES) as u32;
  for (let from = first; from < first + (bytes as usize); from += SLOT_BYTES as usize) {
    const upperAndId = load<u64>(from, 8);
    if (upperAndId == 0) continue;
    const lower = load<u64>(from);
    let offset = (hashOf(lower, upperAndId as u32) * SLOT_BYTES) & mask;
    while (load<u64>(larger + (offset as usize), 8) != 0) offset = (offset + SLOT_BYTES) & mask;
    store<u64>(larger + (offset as usize), lower);
    store<u64>(larger + (offset as usize), upperAndId, 8);
  }
  atomic.store<u64>(SLOTS, (larger as u64) | ((mask as u64) << 32));
  return true;
}
