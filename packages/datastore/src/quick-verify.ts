import type { TaskOptions } from '@knn-lm/common';
import { keyBytes, requireLittleEndian, type DatastoreShape } from './layout.js';
import type { OpenedDatastore } from './open.js';
import type { ResolvedPart } from './parts.js';
import { ProblemList, type DatastoreProblem } from './problems.js';
import { verifyPart, type VerifyPart } from './verify-part.js';

/** Segments whose values are read, spread evenly; the first and the last are among them. */
const sampledSegments = 6;

/** Bytes of keys that are read at most: one segment of 64 MiB in 0.07 CPU seconds. */
const maxKeyBytes = 128 * 2 ** 20;

/** Rows looked at at each end of a datastore without a manifest. */
const endRows = 4096;

/** What {@link Datastore.quickVerify} takes. */
export interface QuickVerifyOptions extends TaskOptions {
  /** Symbols in the dictionary: values must be below it. */
  readonly vocabularySize?: number | undefined;
}

/** What {@link Datastore.quickVerify} found. */
export interface QuickReport {
  /** Whether nothing was found. */
  readonly ok: boolean;
  /** What is wrong. */
  readonly problems: readonly DatastoreProblem[];
  /** Rows whose values were read. */
  readonly checkedValues: number;
  /** Rows whose keys were read. */
  readonly checkedKeys: number;
}

/** Reads a sample of an open datastore; see {@link Datastore.quickVerify}. */
export async function quickVerify(
  { parts, hasKeys, ...shape }: Pick<OpenedDatastore, 'parts' | 'hasKeys' | keyof DatastoreShape>,
  { vocabularySize, signal }: QuickVerifyOptions,
): Promise<QuickReport> {
  requireLittleEndian();
  const pieces = parts.flatMap(piecesOf);
  const values = spread(pieces, sampledSegments);
  const problems = new ProblemList();
  const check = async (array: 'keys' | 'values', { part, firstRow, rows, digests }: Piece) => {
    const segments = digests && [{ rows, digest: digests[array] }];
    const path = part[array];
    const read: VerifyPart = { array, path, shape, firstRow, rows, segments, vocabularySize };
    const report = await verifyPart(read, { signal, onBytes: () => undefined });
    problems.addAll(report.problems, report.problemCounts);
  };
  for (const piece of values) await check('values', piece);
  const keys = hasKeys ? shorter(pieces[0], pieces[pieces.length - 1]) : undefined;
  const checksKeys = keys !== undefined && keys.rows * keyBytes(shape) <= maxKeyBytes;
  if (checksKeys) await check('keys', keys);
  return {
    ok: problems.count === 0,
    problems: problems.first,
    checkedValues: values.reduce((sum, { rows }) => sum + rows, 0),
    checkedKeys: checksKeys ? keys.rows : 0,
  };
}

/** Consecutive rows of a folder that are read together. */
interface Piece {
  readonly part: ResolvedPart;
  readonly firstRow: number;
  readonly rows: number;
  readonly digests: { readonly keys: string; readonly values: string } | undefined;
}

/** The segments of a folder, or without a manifest its ends. */
function piecesOf(part: ResolvedPart): Piece[] {
  const { manifest, rows } = part;
  if (manifest === undefined) {
    const count = Math.min(endRows, rows);
    const ends = rows > count ? [0, rows - count] : [0];
    return ends.map((firstRow) => ({ part, firstRow, rows: count, digests: undefined }));
  }
  const pieces: Piece[] = [];
  let firstRow = 0;
  for (const segment of manifest.segments) {
    if (firstRow >= rows) break;
    pieces.push({ part, firstRow, rows: segment.rows, digests: segment });
    firstRow += segment.rows;
  }
  return pieces;
}

function spread<T>(all: readonly T[], count: number): T[] {
  if (all.length <= count) return [...all];
  return Array.from({ length: count }, (_, i) => all[Math.round((i * (all.length - 1)) / (count - 1))]);
}

function shorter(a: Piece, b: Piece): Piece {
  return b.rows < a.rows ? b : a;
}
