// The order of a dictionary: the most frequent word first, ties by code point, which is the order of UTF-8 bytes and of
// Python's strings.
import { lock, take, unlock } from './memory';
import { wordAddress, wordCount, wordLength } from './words';

/** A word to be sorted: its first eight bytes as a big-endian number (u64), and its id (u32). */
const ENTRY: usize = 16;
/** So few entries are sorted by insertion. */
const SHORT_RUN: usize = 8;
/** Bits of a count that are sorted by at a time. */
const DIGIT: u32 = 11;

/**
 * Sorts words.
 *
 * @param counts - `[words]` f64: how often each occurs
 * @param words - how many
 * @returns address of `[words]` u32, the ids in order; 0 when there is no memory
 */
export function sortWords(counts: usize, words: u32): usize {
  const n = words as usize;
  lock();
  const ids = take(4 * (n as u64));
  const entries = take(2 * ENTRY * (n as u64));
  const histogram = take(4 << DIGIT);
  unlock();
  if (ids == 0 || entries == 0 || histogram == 0) return 0;
  sortByCount(counts, ids, entries, n, histogram);
  for (let start: usize = 0; start < n;) {
    const count = countOf(counts, ids, start);
    let end = start + 1;
    while (end < n && countOf(counts, ids, end) == count) end++;
    if (end - start > 1) sortGroup(ids + 4 * start, end - start, entries);
    start = end;
  }
  return ids;
}

function countOf(counts: usize, ids: usize, i: usize): u64 {
  return load<f64>(counts + 8 * (load<u32>(ids + 4 * i) as usize)) as u64;
}

/** Sorts ids by count, the highest first: by digits, the last one first. */
function sortByCount(counts: usize, ids: usize, scratch: usize, n: usize, histogram: usize): void {
  let highest: u64 = 0;
  for (let i: usize = 0; i < n; i++) {
    store<u32>(ids + 4 * i, i as u32);
    highest = max(highest, load<f64>(counts + 8 * i) as u64);
  }
  for (let shift: u64 = 0; shift < 64 && highest >> shift != 0; shift += DIGIT) {
    memory.fill(histogram, 0, 4 << DIGIT);
    for (let i: usize = 0; i < n; i++) {
      const place = histogram + digitPlace(countOf(counts, ids, i), shift);
      store<u32>(place, load<u32>(place) + 1);
    }
    let sum: u32 = 0;
    for (let place = histogram + (4 << DIGIT); place > histogram;) {
      place -= 4;
      const size = load<u32>(place);
      store<u32>(place, sum);
      sum += size;
    }
    for (let i: usize = 0; i < n; i++) {
      const place = histogram + digitPlace(countOf(counts, ids, i), shift);
      const next = load<u32>(place);
      store<u32>(place, next + 1);
      store<u32>(scratch + 4 * (next as usize), load<u32>(ids + 4 * i));
    }
    memory.copy(ids, scratch, 4 * n);
  }
}

function digitPlace(count: u64, shift: u64): usize {
  return 4 * (((count >> shift) as usize) & ((1 << DIGIT) - 1));
}

/** Sorts words of one count: a merge sort, whose time no order of the words can spoil. */
function sortGroup(ids: usize, n: usize, entries: usize): void {
  for (let i: usize = 0; i < n; i++) {
    const id = load<u32>(ids + 4 * i);
    store<u64>(entries + ENTRY * i, firstBytes(id));
    store<u32>(entries + ENTRY * i, id, 8);
  }
  const scratch = entries + ENTRY * n;
  memory.copy(scratch, entries, ENTRY * n);
  sortEntries(scratch, entries, 0, n);
  for (let i: usize = 0; i < n; i++) store<u32>(ids + 4 * i, load<u32>(entries + ENTRY * i, 8));
}

/**
 * Sorts entries. (It calls itself, so that the engine has compiled it well before most is done: a long loop would stay in
 * the code that was made first.)
 *
 * @param from - the entries, which are used up
 * @param to - the same entries; receives them in order
 */
function sortEntries(from: usize, to: usize, start: usize, end: usize): void {
  if (end - start <= SHORT_RUN) {
    insertionSort(to, start, end);
    return;
  }
  const middle = (start + end) >> 1;
  sortEntries(to, from, start, middle);
  sortEntries(to, from, middle, end);
  merge(from, to, start, middle, end);
}

/** The first eight bytes as a number that is ordered like them; those after the end are 0. */
function firstBytes(id: u32): u64 {
  const address = wordAddress(id);
  const length = wordLength(address) as u64;
  const eight = bswap<u64>(load<u64>(address));
  return length >= 8 ? eight : length == 0 ? 0 : eight & ~(~(0 as u64) >> (8 * length));
}

function insertionSort(entries: usize, start: usize, end: usize): void {
  for (let i = start + 1; i < end; i++) {
    const first = load<u64>(entries + ENTRY * i);
    const id = load<u32>(entries + ENTRY * i, 8);
    let j = i;
    while (j > start && isBefore(first, id, entries + ENTRY * (j - 1))) {
      copyEntry(entries + ENTRY * j, entries + ENTRY * (j - 1));
      j--;
    }
    store<u64>(entries + ENTRY * j, first);
    store<u32>(entries + ENTRY * j, id, 8);
  }
}

function merge(from: usize, to: usize, start: usize, middle: usize, end: usize): void {
  let a = from + ENTRY * start;
  let b = from + ENTRY * middle;
  const endOfA = b;
  const endOfB = from + ENTRY * end;
  let target = to + ENTRY * start;
  while (a < endOfA && b < endOfB) {
    if (isBefore(load<u64>(b), load<u32>(b, 8), a)) {
      copyEntry(target, b);
      b += ENTRY;
    } else {
      copyEntry(target, a);
      a += ENTRY;
    }
    target += ENTRY;
  }
  memory.copy(target, a, endOfA - a);
  memory.copy(target + (endOfA - a), b, endOfB - b);
}

function copyEntry(to: usize, from: usize): void {
  v128.store(to, v128.load(from));
}

function isBefore(first: u64, id: u32, other: usize): bool {
  const otherFirst = load<u64>(other);
  if (first != otherFirst) return first < otherFirst;
  return compareWords(id, load<u32>(other, 8)) < 0;
}

function compareWords(id: u32, other: u32): i32 {
  const a = wordAddress(id);
  const b = wordAddress(other);
  const length = wordLength(a);
  const otherLength = wordLength(b);
  const order = memory.compare(a, b, min(length, otherLength) as usize);
  return order != 0 ? order : length < otherLength ? -1 : ((length > otherLength) as i32);
}

/**
 * Adds a thread's counts to others.
 *
 * @param sums - `[words]` f64
 * @param counts - `[words]` u64
 */
export function addCounts(sums: usize, counts: usize, words: u32): void {
  for (let i: usize = 0; i < (words as usize); i++) {
    store<f64>(sums + 8 * i, load<f64>(sums + 8 * i) + (load<u64>(counts + 8 * i) as f64));
  }
}

/** Bytes of the words that were kept last. */
export let keptBytes: u64 = 0;

/**
 * Chooses the words of a dictionary: the first ones in its order, without those that have an id in it already.
 *
 * @param order - `[words]` u32: all words in order; its beginning receives those that are kept
 * @param counts - `[words]` f64
 * @param mapping - `[words]` int32: ids in the dictionary, -1 where there is none; receives those of the words that are kept
 * @param first - the first of these
 * @param most - so many are kept at most
 * @param threshold - words that occur less often are not kept
 * @param keptCounts - `[words]` f64 receives their counts
 * @returns how many are kept
 */
export function keepWords(
  order: usize,
  counts: usize,
  words: u32,
  mapping: usize,
  first: u32,
  most: f64,
  threshold: f64,
  keptCounts: usize,
): u32 {
  let kept: u32 = 0;
  keptBytes = 0;
  for (let i: usize = 0; i < (words as usize); i++) {
    const id = load<u32>(order + 4 * i);
    const place = mapping + 4 * (id as usize);
    if (load<i32>(place) >= 0) continue;
    const count = load<f64>(counts + 8 * (id as usize));
    if ((kept as f64) >= most || count < threshold) break;
    store<u32>(place, first + kept);
    store<u32>(order + 4 * (kept as usize), id);
    store<f64>(keptCounts + 8 * (kept as usize), count);
    keptBytes += wordLength(wordAddress(id));
    kept++;
  }
  return kept;
}

/**
 * Copies words to one place, one after the other.
 *
 * @param ids - `[words]` u32
 * @param bytes - receives the words; there is room for 8 bytes more
 * @param offsets - receives `[words + 1]` u32, where each begins there
 */
export function gatherWords(ids: usize, words: u32, bytes: usize, offsets: usize): void {
  let offset: u32 = 0;
  for (let i: usize = 0; i < (words as usize); i++) {
    const address = wordAddress(load<u32>(ids + 4 * i));
    const length = wordLength(address);
    store<u32>(offsets + 4 * i, offset);
    // Eight at a time: what is too much is written over by the next word, or lies in the room behind the last one.
    const to = bytes + (offset as usize);
    for (let at: usize = 0; at < (length as usize); at += 8) store<u64>(to + at, load<u64>(address + at));
    offset += length;
  }
  store<u32>(offsets + 4 * (words as usize), offset);
}
