import { existsSync } from 'node:fs';
import { RandomAccessFile } from '@knn-lm/common';
import type { Manifest, Segment } from './manifest.js';
import type { ProblemList } from './problems.js';
import type { ScanSegment } from './scan.js';
import { rowBytesOf, type VerifyPart } from './verify-part.js';

/** Bytes of an array that a thread is given at a time; whole segments. */
const partBytes = 64 * 2 ** 20;

/** An array of one folder that is to be verified. */
export interface PlannedArray extends Pick<VerifyPart, 'array' | 'path' | 'shape' | 'vocabularySize'> {
  /** Rows that should be there. */
  readonly rows: number;
  /** Of the folder; nothing for a datastore of another program. */
  readonly manifest: Manifest | undefined;
}

/** Rows of a folder that are on the disk: those of a text that is being appended included. */
export function committedRowsOf({ committedRows, appending }: Manifest): number {
  return committedRows + (appending?.committedRows ?? 0);
}

/** Cuts what is there of an array into parts of whole segments. */
export function planParts(planned: PlannedArray, problems: ProblemList): VerifyPart[] {
  const { rows, manifest, array, path, shape, vocabularySize } = planned;
  if (!existsSync(path)) {
    problems.add({ kind: 'missing', path, message: `${path} is missing` });
    return [];
  }
  const rowBytes = rowBytesOf(planned);
  const size = sizeOf(path);
  checkSize(path, size, rows * rowBytes, mayBeLonger(manifest, rows), problems);
  const there = Math.min(rows, Math.floor(size / rowBytes));
  const parts: VerifyPart[] = [];
  let firstRow = 0;
  const maxRows = Math.max(1, Math.floor(partBytes / rowBytes));
  const all = manifest === undefined ? piecesOf(there, maxRows) : segmentsOf(manifest, array, there);
  for (const segments of partsOf(all, maxRows)) {
    const count = segments.reduce((sum, segment) => sum + segment.rows, 0);
    const checked = manifest === undefined ? undefined : segments;
    parts.push({ array, path, shape, vocabularySize, firstRow, rows: count, segments: checked });
    firstRow += count;
  }
  return parts;
}

/** Cuts a list of segments into lists of at most so many rows, of one segment at least. */
function* partsOf(segments: Iterable<ScanSegment>, maxRows: number): Generator<ScanSegment[]> {
  let part: ScanSegment[] = [];
  let rows = 0;
  for (const segment of segments) {
    if (part.length > 0 && rows + segment.rows > maxRows) {
      yield part;
      [part, rows] = [[], 0];
    }
    part.push(segment);
    rows += segment.rows;
  }
  if (part.length > 0) yield part;
}

/** The segments of the first rows; one that is cut off keeps its checksum, which it then does not have. */
function* segmentsOf(manifest: Manifest, array: 'keys' | 'values', rows: number): Generator<ScanSegment> {
  let left = rows;
  for (const segment of allSegments(manifest)) {
    if (left === 0) return;
    const count = Math.min(segment.rows, left);
    yield { rows: count, digest: segment[array] };
    left -= count;
  }
}

/** Without a manifest there are no segments: pieces without a checksum. */
function* piecesOf(rows: number, step: number): Generator<ScanSegment> {
  for (let row = 0; row < rows; row += step) yield { rows: Math.min(step, rows - row), digest: undefined };
}

function* allSegments({ segments, appending }: Manifest): Generator<Segment> {
  yield* segments;
  yield* appending?.segments ?? [];
}

/** Size of an array; opening it says whether it can be read at all. */
function sizeOf(path: string): number {
  const file = new RandomAccessFile(path, 'verify the datastore');
  file.close();
  return file.size;
}

/**
 * A file may be longer where rows beyond the commit are the rest of an interrupted run, where only its first rows are
 * part of a datastore, or where no manifest says better.
 */
function mayBeLonger(manifest: Manifest | undefined, rows: number): boolean {
  if (manifest === undefined || !manifest.finished || manifest.appending !== undefined) return true;
  return manifest.rows > rows;
}

function checkSize(
  path: string,
  size: number,
  expected: number,
  mayBeLonger: boolean,
  problems: ProblemList,
): void {
  if (size === expected || (size > expected && mayBeLonger)) return;
  problems.add({ kind: 'size', path, message: `${path} has ${size} bytes, not ${expected}` });
}
