// The memory that all threads of a run share: who may have what of it, and the lock for changing what is common.
//
// It begins with a header. What is made later is never given back: it goes with the memory, at the end of the run.

/** u32: 0 is free, 1 held, 2 held and waited for. */
const LOCK: usize = 1024;
/** u32: where free memory begins; 0 until the first thread has come. */
const FREE: usize = 1028;
/** The header's other fields, one a line of the cache. */
export const SLOTS: usize = 1088;
export const WORD_COUNT: usize = 1152;
export const WORD_BLOCK: usize = 1216;
/** u32 for each {@link WORDS_PER_PAGE} ids: where their words' addresses lie. */
export const PAGES: usize = 2048;
export const WORDS_PER_PAGE: u32 = 1 << 16;
const PAGE_COUNT: u32 = 1 << 15;
const FIRST_FREE: usize = PAGES + 4 * (PAGE_COUNT as usize);

/** The most ids: they are 31-bit numbers. */
export const MOST_WORDS: u32 = 0x7fffffff;

/** Takes the lock (Drepper, "Futexes are tricky", the second mutex). */
export function lock(): void {
  let state = atomic.cmpxchg<u32>(LOCK, 0, 1);
  while (state != 0) {
    if (state == 2 || atomic.cmpxchg<u32>(LOCK, 1, 2) != 0) atomic.wait<i32>(LOCK, 2, -1);
    state = atomic.cmpxchg<u32>(LOCK, 0, 2);
  }
}

/** Gives the lock back. */
export function unlock(): void {
  if (atomic.sub<u32>(LOCK, 1) != 1) {
    atomic.store<u32>(LOCK, 0);
    atomic.notify(LOCK, 1);
  }
}

/**
 * Memory, filled with zeros, to be had with the lock only; with 64 bytes after it that may be read.
 *
 * @returns its address; 0 when there is none
 */
export function take(byteLength: u64): usize {
  let start: u64 = load<u32>(FREE);
  if (start == 0) start = FIRST_FREE;
  const end = (start + byteLength + 127) & ~63;
  const pages = ((end + 0xffff) >> 16) as i64;
  if (pages > 65535) return 0;
  const missing = (pages as i32) - memory.size();
  // A quarter more than is needed, if there is as much: each growth is a system call.
  if (missing > 0 && memory.grow(missing + (memory.size() >> 2)) < 0 && memory.grow(missing) < 0) return 0;
  store<u32>(FREE, end as u32);
  return start as usize;
}
