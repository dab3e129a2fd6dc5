import type { DatastoreShape } from './layout.js';

/** Where the files of an open datastore are. */
export interface EngineFiles extends DatastoreShape {
  /** Path of `keys.npy`, or nothing when the keys are not needed. */
  readonly keys: string | undefined;
  /** Path of `values.npy`. */
  readonly values: string;
}

/** How distances are computed. */
export interface DistanceOptions {
  /** Threads at most. */
  readonly threads: number;
  /** What an id of -1 means. */
  readonly missing: 'last-row' | 'infinity';
  /** One of {@link Engine.kernels}; the first is the fastest. */
  readonly kernel: string;
}

/**
 * Reads the arrays. What it is given was checked before: shapes fit, rows are in range, ids are rows or -1.
 */
export interface Engine {
  /** `native`: C++ over a mapping; `portable`: TypeScript over file reads. */
  readonly name: 'native' | 'portable';
  /** Implementations of the distance that this machine can run, fastest first. */
  readonly kernels: readonly string[];
  /** Rows from `start` on, widened, into `target` `[count, dimension]`. */
  readKeys(start: number, target: Float32Array): void;
  /** Values from `start` on. Returns -1, or the first row whose value is not an int32. */
  readValues(start: number, target: Int32Array): number;
  /** The keys of `ids`, -1 being the last row, into `target` `[ids.length, dimension]`. */
  gatherKeys(ids: Float64Array, target: Float32Array): void;
  /** The values of `ids`, -1 being the last row. Returns -1, or the first row whose value is not an int32. */
  gatherValues(ids: Float64Array, target: Int32Array): number;
  /** Squared distances into `target` `[n, k]`. */
  squaredDistances(
    queries: Float32Array,
    ids: Float64Array,
    k: number,
    target: Float32Array,
    options: DistanceOptions,
  ): Promise<void>;
  /** Brings one part of the keys into memory; `false` when there is no such part. */
  populate(part: number): Promise<boolean>;
  /** Bytes of one part. */
  readonly populateBytes: number;
  /** Lets go of the files, after the calls under way. */
  close(): void;
}
