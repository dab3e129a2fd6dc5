import type { LmArchitecture } from '@knn-lm/checkpoint';

/** Chunks of 512 to 1024 rows were fastest (measured on 2 cores with 20,002 entries in the head). */
const fastestRows = 1024;

/** Logits of this many entries are 128 MB; twice that is in use while they are normalised. */
const logitsLimit = 2 ** 25;

/**
 * Rows of logits in memory at a time where the caller does not say: the fastest number that keeps the logits of the
 * whole vocabulary, or of the head of an adaptive softmax, under 128 MB.
 *
 * @param architecture - the model
 */
export function defaultSoftmaxBatch({ vocabSize, adaptiveSoftmax }: LmArchitecture): number {
  const entries = adaptiveSoftmax === undefined ? vocabSize : headSize(adaptiveSoftmax.cutoffs);
  return softmaxBatchFor(entries);
}

/** The same for an output layer of `entries` logits. */
export function softmaxBatchFor(entries: number): number {
  return Math.max(1, Math.min(fastestRows, Math.floor(logitsLimit / entries)));
}

function headSize(cutoffs: readonly number[]): number {
  return cutoffs[0] + cutoffs.length - 1;
}
