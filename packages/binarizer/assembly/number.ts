// What a thread does with a piece of a text: it finds the words and gives each its id.
import { hashOf, isLong } from './key';
import { lock, take, unlock } from './memory';
import { BATCH, BATCH_BYTES, found, lengths, lowers, placeBatch, scan, starts, uppers } from './scan';
import { add, find, SLOT_BYTES, slots, wordCount } from './words';

/** Ids of one call at most. */
const CAPACITY: u32 = 1 << 16;
const UNK: i32 = 3;

/** `[count]` int32: the ids of a piece. */
export let ids: usize = 0;
export let count: u32 = 0;
/** `[sentences]` int32: the sizes of the sentences that end in it; of the first only what is in this piece. */
export let sizes: usize = 0;
export let sentences: u32 = 0;
/** Tokens after the last sentence that ends in it. */
export let openTokens: u32 = 0;
/** Words that the dictionary does not have. */
export let replaced: u32 = 0;
/** There is no memory for more words. */
export let isFull: bool = false;

/** `[countsLength]` u64: how often this thread met each word. */
export let counts: usize = 0;
export let countsLength: u32 = 0;

/**
 * Makes room for what this thread needs.
 *
 * @returns whether there was memory
 */
export function openThread(): bool {
  lock();
  const batch = take(BATCH_BYTES);
  ids = take(4 * (CAPACITY as u64));
  sizes = take(4 * (CAPACITY as u64));
  unlock();
  placeBatch(batch);
  return batch != 0 && ids != 0 && sizes != 0;
}

/**
 * Gives ids to the words of a piece, until it ends or {@link ids} is full.
 *
 * @param isCounting - whether an unknown word gets an id of its own, and words are counted; otherwise it is `<unk>`
 * @returns where it stopped; it is done with this piece when {@link count} is 0
 */
export function number(begin: usize, end: usize, isLast: bool, isCounting: bool): usize {
  count = 0;
  sentences = 0;
  openTokens = 0;
  replaced = 0;
  let position = begin;
  do {
    position = scan(position, end, isLast);
    lookUp();
    if (isCounting) {
      countBatch();
      if (isFull) return position;
    } else {
      replaceUnknown();
    }
    endSentences();
    count += found;
  } while (found > 0 && count + BATCH <= CAPACITY);
  return position;
}

/**
 * Looks where most words are found at once. The loop has no branches: the processor waits for many slots at a time.
 */
function lookUp(): void {
  const table = slots();
  const first = (table & 0xffffffff) as usize;
  const mask = (table >> 32) as u32;
  const target = ids + 4 * (count as usize);
  for (let i: usize = 0; i < (found as usize); i++) {
    const lower = load<u64>(lowers + 8 * i);
    const upper = load<u32>(uppers + 4 * i);
    const slot = first + (((hashOf(lower, upper) * SLOT_BYTES) & mask) as usize);
    const isFound = (load<u64>(slot) == lower) & (load<u32>(slot, 8) == upper) & !isLong(upper);
    store<i32>(target + 4 * i, select<i32>((load<u32>(slot, 12) as i32) - 1, -1, isFound));
  }
}

function countBatch(): void {
  if (wordCount() > countsLength && !reserveCounts()) return;
  const target = ids + 4 * (count as usize);
  for (let i: usize = 0; i < (found as usize); i++) {
    let id = load<i32>(target + 4 * i);
    if (id < 0) {
      id = idOf(i);
      if (id < 0 || ((id as u32) >= countsLength && !reserveCounts())) {
        isFull = true;
        return;
      }
      store<i32>(target + 4 * i, id);
    }
    const counter = counts + 8 * (id as usize);
    store<u64>(counter, load<u64>(counter) + 1);
  }
}

function replaceUnknown(): void {
  const table = slots();
  const target = ids + 4 * (count as usize);
  for (let i: usize = 0; i < (found as usize); i++) {
    if (load<i32>(target + 4 * i) >= 0) continue;
    const id = findAgain(table, i);
    if (id < 0) replaced++;
    store<i32>(target + 4 * i, id < 0 ? UNK : id);
  }
}

/** Id of a word that was not found at once. */
function findAgain(table: u64, i: usize): i32 {
  const word = load<u32>(starts + 4 * i) as usize;
  const length = load<u32>(lengths + 4 * i);
  return find(table, load<u64>(lowers + 8 * i), load<u32>(uppers + 4 * i), word, length);
}

/** {@link findAgain}, for a word that gets an id if it has none. */
function idOf(i: usize): i32 {
  let id = findAgain(slots(), i);
  if (id >= 0) return id;
  lock();
  // Another thread may have added it meanwhile.
  id = findAgain(slots(), i);
  if (id < 0) {
    const word = load<u32>(starts + 4 * i) as usize;
    id = add(load<u64>(lowers + 8 * i), load<u32>(uppers + 4 * i), word, load<u32>(lengths + 4 * i));
  }
  unlock();
  return id;
}

function endSentences(): void {
  for (let i: usize = 0; i < (found as usize); i++) {
    openTokens++;
    if (load<u32>(lengths + 4 * i) != 0) continue;
    store<u32>(sizes + 4 * (sentences as usize), openTokens);
    sentences++;
    openTokens = 0;
  }
}

/** Makes room for the count of every word. @returns whether there was memory */
function reserveCounts(): bool {
  const length = max<u32>(wordCount() * 2, 1 << 14);
  lock();
  const larger = take(8 * (length as u64));
  unlock();
  if (larger == 0) {
    isFull = true;
    return false;
  }
  memory.copy(larger, counts, 8 * (countsLength as usize));
  counts = larger;
  countsLength = length;
  return true;
}
