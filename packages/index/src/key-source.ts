/** What building an index needs of a datastore. */
export interface KeySource {
  /** Folder of the datastore; the index files go there too. */
  readonly folder: string;
  /** Number of entries. */
  readonly rows: number;
  /** Elements of a key. */
  readonly dimension: number;
  /** Checksum of the content, where it is known. */
  readonly fingerprint?: string | undefined;
  /** The checksum of the content that it had when it ended after its first `rows` rows, where that is known. */
  fingerprintOf?(rows: number): string | undefined;
  /** Consecutive keys, `[count, dimension]`: single precision, or the 16-bit patterns of half precision. */
  readKeys(start: number, count: number): Float32Array | Uint16Array;
  /** Keys of any rows, `[ids.length, dimension]`. */
  gatherKeys(ids: Float64Array): Float32Array | Uint16Array;
}

/** What recomputing distances needs of a datastore. */
export interface DistanceSource {
  /** Number of entries. */
  readonly rows: number;
  /** Elements of a key. */
  readonly dimension: number;
  /** Squared L2 distances of queries `[n, dimension]` to the keys of ids `[n, k]`; id -1 is the last row. */
  squaredDistances(
    queries: Float32Array,
    ids: Float64Array,
    k: number,
    target?: Float32Array,
  ): Promise<Float32Array>;
}
