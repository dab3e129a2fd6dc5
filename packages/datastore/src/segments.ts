import { createHash, type Hash } from 'node:crypto';
import { DatastoreError } from './error.js';
import { keyBytes, type DatastoreShape } from './layout.js';
import { maxAllSegments, maxSegments, type Segment } from './manifest.js';

/**
 * Bytes of keys in a segment of a small datastore. What an interruption can lose is at most one segment; 64 MiB take
 * a disk less than a second.
 */
const segmentBytes = 64 * 2 ** 20;

/**
 * Rows of a full segment: 64 MiB of keys, or more where the manifest would hold over {@link maxSegments} segments.
 *
 * @param shape - the datastore's
 * @param wanted - asks for another number
 * @throws {@link DatastoreError} `DATASTORE_BAD_SHAPE` when the number asked for makes too many segments
 */
export function planSegmentRows(shape: DatastoreShape, wanted?: number): number {
  const least = Math.ceil(shape.rows / maxSegments);
  if (wanted === undefined) return Math.max(1, Math.floor(segmentBytes / keyBytes(shape)), least);
  if (Number.isSafeInteger(wanted) && wanted >= least) return wanted;
  throw new DatastoreError(
    'DATASTORE_BAD_SHAPE',
    `segmentRows is ${wanted}, not an integer from ${least} on`,
    {
      hint: `A manifest holds ${maxSegments} segments at most: give ${least} or more, or nothing.`,
      details: { segmentRows: wanted, rows: shape.rows },
    },
  );
}

/**
 * Rows of a full segment of a text that is appended: those of the datastore's first text, or more where the manifest
 * would hold more segments than it may.
 *
 * @param rows - of the text
 * @param segmentRows - of the datastore
 * @param segments - that it has already
 * @throws {@link DatastoreError} `DATASTORE_TOO_MANY_TEXTS` when there is no room for another
 */
export function planAppendedSegmentRows(rows: number, segmentRows: number, segments: number): number {
  const room = Math.min(maxSegments, maxAllSegments - segments);
  if (room > 0) return Math.max(segmentRows, Math.ceil(rows / room));
  throw new DatastoreError(
    'DATASTORE_TOO_MANY_TEXTS',
    `the manifest has ${segments} segments, and no room for those of another text`,
    {
      hint: 'Copy the datastore into one whose segments are counted afresh (merge_datastore).',
      details: { segments },
    },
  );
}

/** Checksums of rows as they are appended, segment by segment. The last segment may be open and grow. */
export class SegmentChecksums {
  readonly #segmentRows: number;
  readonly #sealed: Segment[];
  #openRows = 0;
  #keys: Hash = createHash('sha256');
  #values: Hash = createHash('sha256');

  /**
   * @param segmentRows - rows of a full segment
   * @param sealed - full segments committed before
   */
  constructor(segmentRows: number, sealed: readonly Segment[] = []) {
    this.#segmentRows = segmentRows;
    this.#sealed = [...sealed];
  }

  /** Rows that still fit into the open segment; never 0. */
  get room(): number {
    return this.#segmentRows - this.#openRows;
  }

  /** Adds bytes of `keys.npy` to the open segment. */
  addKeys(bytes: Uint8Array): void {
    this.#keys.update(bytes);
  }

  /** Adds bytes of `values.npy` to the open segment. */
  addValues(bytes: Uint8Array): void {
    this.#values.update(bytes);
  }

  /**
   * Says that the bytes added were these rows, and seals the segment when it is full.
   *
   * @param rows - at most {@link SegmentChecksums.room}
   * @returns whether the segment was sealed
   */
  endRows(rows: number): boolean {
    this.#openRows += rows;
    if (this.#openRows < this.#segmentRows) return false;
    this.#sealed.push(this.#open());
    this.#openRows = 0;
    this.#keys = createHash('sha256');
    this.#values = createHash('sha256');
    return true;
  }

  /** All segments, the open one with the checksum of what it has so far. */
  snapshot(): readonly Segment[] {
    return this.#openRows === 0 ? [...this.#sealed] : [...this.#sealed, this.#open()];
  }

  #open(): Segment {
    return {
      rows: this.#openRows,
      keys: this.#keys.copy().digest('hex'),
      values: this.#values.copy().digest('hex'),
    };
  }
}
