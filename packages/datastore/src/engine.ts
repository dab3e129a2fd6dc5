import type { DatastoreShape } from './layout.js';

/** The arrays of one folder, whose rows are some or all of a datastore's. */
export interface EnginePart {
  /** Rows of the folder that count. */
  readonly rows: number;
  /** Path of `keys.npy`. */
  readonly keys: string;
  /** Path of `values.npy`. */
  readonly values: string;
}

/** Where the files of an open datastore are. */
export interface EngineFiles extends DatastoreShape {
  /** One folder, or several whose rows follow one another. */
  readonly parts: readonly EnginePart[];
  /** Whether the keys are opened. */
  readonly needKeys: boolean;
  /** Whether the values are opened. */
  readonly needValues: boolean;
}

/** How distances are computed. */
export interface DistanceOptions {
  /** Threads at most. */
  readonly threads: number;
  /** What an id of -1 means. */
  readonly missing: 'last-row' | 'infinity';
  /** One of {@link Engine.kernels}; the first is the fastest. */
  readonly kernel: string;
  /** How keys are reached. */
  readonly access: 'mapped' | 'read';
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
  /** Brings bytes of the keys of one part into memory. */
  populate(part: number, byteOffset: number, byteLength: number): Promise<void>;
  /** Keeps what is brought into memory mapped. */
  hold(): void;
  /** Lets go of the files, after the calls under way. */
  close(): void;
}
