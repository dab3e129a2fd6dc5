// The loops in which preprocessing spends its time, compiled to WebAssembly with AssemblyScript. All threads of a run share
// one memory and the engine's code for it: neither the words nor the compiled loops are made for each thread anew.
import { addCounts, gatherWords, keepWords, keptBytes, sortWords } from './order';
import { lock, take, unlock } from './memory';
import { lowerOf, upperOf } from './key';
import { add, find, makeSlots, slots, wordCount } from './words';

export { addCounts, gatherWords, keepWords, keptBytes, sortWords, wordCount };
export { beginText, invalid } from './scan';
export {
  count,
  counts,
  countsLength,
  ids,
  isFull,
  number,
  openThread,
  openTokens,
  replaced,
  sentences,
  sizes,
} from './number';

/** Memory for anything, after which {@link READ_AHEAD} bytes may be read. @returns its address; 0 when there is none */
export function allocate(byteLength: u32): usize {
  lock();
  const address = take(byteLength);
  unlock();
  return address;
}

/**
 * Makes the table of words; to be called once for a memory, before any other function.
 *
 * @param capacity - slots to begin with: a power of two
 * @returns whether there was memory
 */
export function makeTable(capacity: u32): bool {
  lock();
  const isMade = makeSlots(capacity);
  unlock();
  return isMade;
}

/** Id of a word; -1 if it has none. */
export function findWord(word: usize, length: u32): i32 {
  return find(slots(), lowerOf(word, length), upperOf(word, length), word, length);
}

/**
 * Gives words consecutive ids; the last id of a word that comes twice is the one that is found.
 *
 * @param bytes - the words, one after the other
 * @param offsets - `[words + 1]` u32, where each begins
 * @returns whether there was memory
 */
export function addWords(bytes: usize, offsets: usize, words: u32): bool {
  lock();
  for (let i: usize = 0; i < (words as usize); i++) {
    const start = load<u32>(offsets + 4 * i);
    const word = bytes + (start as usize);
    const length = load<u32>(offsets + 4 * (i + 1)) - start;
    if (add(lowerOf(word, length), upperOf(word, length), word, length) < 0) {
      unlock();
      return false;
    }
  }
  unlock();
  return true;
}
