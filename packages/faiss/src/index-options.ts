import type { TaskOptions } from '@knn-lm/common';

/** What an IndexIVFPQ is made with. */
export interface IvfPqOptions {
  /** Dimensions of a vector. */
  readonly dimension: number;
  /** Coarse centroids, each with its inverted list. */
  readonly centroids: number;
  /** Codes a vector, one for each of so many equal parts of it; divides the dimension. */
  readonly codeSize: number;
  /**
   * Bits of one code, 1 to 8.
   * @default 8
   */
  readonly bitsPerIndex?: number;
}

/** How one call is run. */
export interface CallOptions extends Pick<TaskOptions, 'signal'> {
  /**
   * Threads of the call.
   * @default all cores
   */
  readonly threads?: number | undefined;
}

/** How an index file is read. */
export interface ReadOptions {
  /**
   * Leaves the inverted lists in the file and maps them into memory, read-only. Lists in a file of their own are always
   * mapped. @default false
   */
  readonly map?: boolean;
  /** Reads kinds of index, too, that cannot be checked first, though a damaged one may end the process. @default false */
  readonly trusted?: boolean;
}

/** Neighbours of a batch of queries, nearest first. */
export interface SearchResult {
  /** `[n, k]` squared L2 distances (inner products with that metric); 3.4e38 where a neighbour is missing. */
  readonly distances: Float32Array;
  /** `[n, k]` ids, exact up to 2^53; -1 where a neighbour is missing. */
  readonly ids: Float64Array;
}
