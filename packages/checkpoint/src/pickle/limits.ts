/**
 * Limits on what a pickle may ask for. The pickles in checkpoints hold settings and descriptions of tensors, not the
 * tensors: the largest seen (247 million parameters with the optimizer's state) has 200 KB and 2,000 objects.
 */
export const pickleLimits = {
  /** Bytes of one pickle. Everything an opcode can make is proportional to the bytes that it is read from. */
  bytes: 32 * 2 ** 20,
  /** Lists, tuples, dicts, sets and records made by one pickle; an empty one takes one byte here and 200 in memory. */
  objects: 200_000,
  /** Values on the stack at once: a checkpoint's are pushed in batches of 1,000. */
  stackDepth: 200_000,
  /** Marks on the stack at once, which is how deep the batches are nested. */
  markDepth: 1_000,
  /** Entries of the memo. */
  memoEntries: 1_000_000,
  /** Bytes of a name, or of a number or string in the text form of protocol 0. */
  lineBytes: 65_536,
  /** Bytes of one integer: torch's longest, its magic number, has 10; making one takes time quadratic in this. */
  integerBytes: 64,
} as const;
