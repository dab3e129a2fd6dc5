import { KeyInspector, ValueInspector } from './inspect.js';
import { keyBytes, valueBytes, type DatastoreShape } from './layout.js';
import { ProblemList, type DatastoreProblem, type ProblemCounts } from './problems.js';
import { scanArray, type ScanSegment } from './scan.js';

/** Consecutive rows of one array, to be verified on their own. Plain data: it is sent to threads. */
export interface VerifyPart {
  /** Which array. */
  readonly array: 'keys' | 'values';
  /** Its file. */
  readonly path: string;
  /** The datastore's. */
  readonly shape: DatastoreShape;
  /** First row of the part. */
  readonly firstRow: number;
  /** Rows of the part. */
  readonly rows: number;
  /** The segments that the part is made of; nothing without a manifest. */
  readonly segments: readonly ScanSegment[] | undefined;
  /** Values must be below it, if it is given. */
  readonly vocabularySize: number | undefined;
}

/** What was found in a part. Plain data. */
export interface PartReport {
  /** The first problems. */
  readonly problems: readonly DatastoreProblem[];
  /** All of them. */
  readonly problemCounts: ProblemCounts;
  /** Keys that are all zero. */
  readonly zeroKeys: number;
  /** Keys that are all zero at the end of the part. */
  readonly zeroKeysAtEnd: number;
  /** Smallest value. */
  readonly minValue: number | undefined;
  /** Largest value. */
  readonly maxValue: number | undefined;
}

/** How a part is watched and stopped. */
export interface PartControl {
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
  /** Receives the number of bytes read since the last call. */
  onBytes(this: void, count: number): void;
}

/** Bytes of a row of the part's array. */
export function rowBytesOf({ array, shape }: Pick<VerifyPart, 'array' | 'shape'>): number {
  return array === 'keys' ? keyBytes(shape) : valueBytes;
}

/** Reads a part once and checks checksums and content. Memory: two buffers of 2 MiB, or two rows where those are larger. */
export async function verifyPart(part: VerifyPart, control: PartControl): Promise<PartReport> {
  const problems = new ProblemList();
  const keys = new KeyInspector(part.path, part.shape, problems);
  const values = new ValueInspector(part.path, part.vocabularySize, problems);
  const inspector = part.array === 'keys' ? keys : values;
  await scanArray(part.path, { ...part, rowBytes: rowBytesOf(part) }, problems, {
    signal: control.signal,
    inspect: (bytes, firstRow) => inspector.inspect(bytes, firstRow),
    onBytes: control.onBytes,
  });
  return {
    problems: problems.first,
    problemCounts: problems.counts,
    zeroKeys: keys.zeroKeys,
    zeroKeysAtEnd: keys.zeroKeysAtEnd,
    minValue: values.min,
    maxValue: values.max,
  };
}
