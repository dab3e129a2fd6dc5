import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { RandomAccessFile, type TaskOptions } from '@knn-lm/common';
import {
  checkShape,
  datastorePaths,
  requireLittleEndian,
  type DatastoreShape,
  type KeysDtype,
} from './layout.js';
import { readManifest, type Manifest } from './manifest.js';
import { checkGivenShape, shapeFromOptions } from './open.js';
import { ProblemList, type DatastoreProblem, type ProblemCounts } from './problems.js';
import { rowBytesOf, type PartReport, type VerifyPart } from './verify-part.js';
import { verifyParts } from './verify-threads.js';

/** What {@link verifyDatastore} takes. The shape is required without a manifest, as for `Datastore.open`. */
export interface VerifyOptions extends TaskOptions {
  /** `--datastore-size`. */
  readonly rows?: number | undefined;
  /** `--keys-dimension`. */
  readonly dimension?: number | undefined;
  /** `--keys-dtype`. */
  readonly dtype?: KeysDtype | undefined;
  /** Symbols in the dictionary: values must be below it. Without it they must be token ids at all (0 to 2^31 - 1). */
  readonly vocabularySize?: number | undefined;
  /** Threads that read and compute checksums. @default all cores, 8 at most */
  readonly threads?: number | undefined;
}

/** More threads than this only wait for the disk. */
const maxThreads = 8;

/** Bytes of an array that a thread is given at a time; whole segments. */
const partBytes = 64 * 2 ** 20;

/** What {@link verifyDatastore} found. */
export interface DatastoreReport extends DatastoreShape {
  /** The folder as given. */
  readonly folder: string;
  /** Whether nothing is wrong. */
  readonly ok: boolean;
  /** Whether it is finished; `undefined` without a manifest, which alone could say so. */
  readonly finished: boolean | undefined;
  /** Rows that were checked: the committed ones, as far as they are there. */
  readonly checkedRows: number;
  /** The first {@link maxProblems} problems. */
  readonly problems: readonly DatastoreProblem[];
  /** All problems, those not listed included. */
  readonly problemCount: number;
  /** All problems of each kind. */
  readonly problemCounts: ProblemCounts;
  /** Keys that are all zero; many at the end are the mark of a run of the Python tools that stopped early. */
  readonly zeroKeys: number;
  /** Keys that are all zero at the end. */
  readonly zeroKeysAtEnd: number;
  /** Smallest value, or `undefined` if none was read. */
  readonly minValue: number | undefined;
  /** Largest value, or `undefined` if none was read. */
  readonly maxValue: number | undefined;
}

/**
 * Reads a whole datastore and checks it: sizes, the checksum of every committed segment, that keys are finite, and that
 * values are token ids (of the vocabulary, if its size is given). Nothing is changed.
 *
 * Memory: 4 MiB a thread, whatever the size (and two keys, should one key be larger than 2 MiB).
 *
 * @param folder - the datastore
 * @param options - shape where there is no manifest, vocabulary, progress in bytes, signal
 * @throws {@link DatastoreError} when there is nothing that could be checked: `DATASTORE_NOT_FOUND`,
 * `DATASTORE_MANIFEST_DAMAGED`, `DATASTORE_OPTIONS_NEEDED`, `DATASTORE_OPTION_MISMATCH`; `CancelledError`. What is wrong with the arrays is in
 * the report.
 *
 * @example
 * ```ts
 * const report = await verifyDatastore('datastore', { vocabularySize: dictionary.size });
 * for (const { message } of report.problems) console.error(message);
 * ```
 */
export async function verifyDatastore(folder: string, options: VerifyOptions = {}): Promise<DatastoreReport> {
  requireLittleEndian();
  const manifest = await readManifest(folder);
  const shape: DatastoreShape = manifest ?? (await shapeFromOptions(folder, options));
  checkShape(shape);
  const problems = new ProblemList();
  if (manifest !== undefined) {
    checkGivenShape(folder, manifest, options);
    checkState(folder, manifest, problems);
  }
  const rows = manifest?.committedRows ?? shape.rows;
  const { keys, values } = datastorePaths(folder);
  const { vocabularySize, threads = Math.min(maxThreads, availableParallelism()) } = options;
  const common = { shape, rows, manifest, vocabularySize };
  const keyParts = planParts({ ...common, array: 'keys', path: keys }, problems);
  const valueParts = planParts({ ...common, array: 'values', path: values }, problems);
  const parts = [...keyParts, ...valueParts];
  const total = parts.reduce((sum, part) => sum + part.rows * rowBytesOf(part), 0);
  let done = 0;
  const reports = await verifyParts(parts, threads, {
    signal: options.signal,
    onBytes: (count) => {
      done += count;
      options.onProgress?.({ stage: 'verify', done, total, unit: 'bytes' });
    },
  });
  for (const report of reports) problems.addAll(report.problems, report.problemCounts);
  return {
    folder,
    ok: problems.count === 0,
    finished: manifest?.finished,
    rows: shape.rows,
    dimension: shape.dimension,
    dtype: shape.dtype,
    checkedRows: Math.min(rowsOf(keyParts), rowsOf(valueParts)),
    problems: problems.first,
    problemCount: problems.count,
    problemCounts: problems.counts,
    ...summarize(keyParts, reports.slice(0, keyParts.length), reports.slice(keyParts.length)),
  };
}

type Summary = Pick<DatastoreReport, 'zeroKeys' | 'zeroKeysAtEnd' | 'minValue' | 'maxValue'>;

function summarize(
  keyParts: readonly VerifyPart[],
  keys: readonly PartReport[],
  values: readonly PartReport[],
): Summary {
  let zeroKeysAtEnd = 0;
  for (const [i, report] of keys.entries()) {
    const allZero = report.zeroKeysAtEnd === keyParts[i].rows;
    zeroKeysAtEnd = allZero ? zeroKeysAtEnd + report.zeroKeysAtEnd : report.zeroKeysAtEnd;
  }
  return {
    zeroKeys: keys.reduce((sum, report) => sum + report.zeroKeys, 0),
    zeroKeysAtEnd,
    minValue: extreme(values, 'minValue', Math.min),
    maxValue: extreme(values, 'maxValue', Math.max),
  };
}

function extreme(
  reports: readonly PartReport[],
  field: 'minValue' | 'maxValue',
  pick: (a: number, b: number) => number,
): number | undefined {
  const found = reports.flatMap((report) => report[field] ?? []);
  return found.length === 0 ? undefined : found.reduce((a, b) => pick(a, b));
}

function rowsOf(parts: readonly VerifyPart[]): number {
  return parts.reduce((sum, { rows }) => sum + rows, 0);
}

interface PlannedArray extends Pick<VerifyPart, 'array' | 'path' | 'shape' | 'vocabularySize'> {
  /** Rows that should be there. */
  readonly rows: number;
  readonly manifest: Manifest | undefined;
}

/** Cuts what is there of an array into parts of whole segments. */
function planParts(planned: PlannedArray, problems: ProblemList): VerifyPart[] {
  const { rows, manifest, array, path, shape, vocabularySize } = planned;
  if (!existsSync(path)) {
    problems.add({ kind: 'missing', path, message: `${path} is missing` });
    return [];
  }
  const rowBytes = rowBytesOf(planned);
  const size = sizeOf(path);
  checkSize(path, size, rows * rowBytes, manifest, problems);
  const there = Math.min(rows, Math.floor(size / rowBytes));
  const segmentRows = manifest?.segmentRows;
  const unit = segmentRows ?? 1;
  const partRows = unit * Math.max(1, Math.floor(partBytes / (unit * rowBytes)));
  const parts: VerifyPart[] = [];
  for (let firstRow = 0; firstRow < there; firstRow += partRows) {
    const count = Math.min(partRows, there - firstRow);
    const digests = manifest?.segments
      .slice(firstRow / unit, Math.ceil((firstRow + count) / unit))
      .map((segment) => segment[array]);
    parts.push({ array, path, shape, vocabularySize, firstRow, rows: count, segmentRows, digests });
  }
  return parts;
}

/** Size of an array; opening it says whether it can be read at all. */
function sizeOf(path: string): number {
  const file = new RandomAccessFile(path, 'verify the datastore');
  file.close();
  return file.size;
}

function checkState(folder: string, manifest: Manifest, problems: ProblemList): void {
  if (manifest.finished) return;
  const { committedRows, rows, replacing } = manifest;
  problems.add({
    kind: 'unfinished',
    path: datastorePaths(folder).manifest,
    message: replacing
      ? `${folder}: its replacement was interrupted while it was moved in`
      : `${folder} is unfinished: ${committedRows} of ${rows} rows are committed`,
  });
}

/** A file may be longer where rows beyond the commit are the rest of an interrupted run, or no manifest says better. */
function checkSize(
  path: string,
  size: number,
  expected: number,
  manifest: Manifest | undefined,
  problems: ProblemList,
): void {
  if (size === expected || (size > expected && manifest?.finished !== true)) return;
  problems.add({ kind: 'size', path, message: `${path} has ${size} bytes, not ${expected}` });
}
