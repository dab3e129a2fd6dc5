import { existsSync } from 'node:fs';
import { RandomAccessFile, type TaskOptions } from '@knn-lm/common';
import {
  checkShape,
  datastorePaths,
  keyBytes,
  requireLittleEndian,
  valueBytes,
  type DatastoreShape,
} from './layout.js';
import { readManifest, type Manifest } from './manifest.js';
import { shapeFromOptions } from './open.js';
import { ProblemList, type DatastoreProblem } from './problems.js';
import { scanArray } from './scan.js';
import { KeyInspector, ValueInspector } from './inspect.js';

/** What {@link verifyDatastore} takes. The shape is required without a manifest, as for `Datastore.open`. */
export interface VerifyOptions extends Partial<DatastoreShape>, TaskOptions {
  /** Symbols in the dictionary: values must be below it. Without it they must be token ids at all (0 to 2^31 - 1). */
  readonly vocabularySize?: number | undefined;
}

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
 * Memory: a few MiB, whatever the size.
 *
 * @param folder - the datastore
 * @param options - shape where there is no manifest, vocabulary, progress in bytes, signal
 * @throws {@link DatastoreError} when there is nothing that could be checked: `DATASTORE_NOT_FOUND`,
 * `DATASTORE_MANIFEST_DAMAGED`, `DATASTORE_OPTIONS_NEEDED`; `CancelledError`. What is wrong with the arrays is in
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
  if (manifest !== undefined) checkState(folder, manifest, problems);
  const rows = manifest?.committedRows ?? shape.rows;
  const { keys: keysPath, values: valuesPath } = datastorePaths(folder);
  const total = rows * (keyBytes(shape) + valueBytes);
  const keys = new KeyInspector(keysPath, shape, problems);
  const values = new ValueInspector(valuesPath, options.vocabularySize, problems);
  const keyRows = await scan(keysPath, keyBytes(shape), 'keys', keys, 0);
  const valueRows = await scan(valuesPath, valueBytes, 'values', values, rows * keyBytes(shape));
  return {
    folder,
    ok: problems.count === 0,
    finished: manifest?.finished,
    rows: shape.rows,
    dimension: shape.dimension,
    dtype: shape.dtype,
    checkedRows: Math.min(keyRows, valueRows),
    problems: problems.first,
    problemCount: problems.count,
    zeroKeys: keys.zeroKeys,
    zeroKeysAtEnd: keys.zeroKeysAtEnd,
    minValue: values.min,
    maxValue: values.max,
  };

  async function scan(
    path: string,
    rowBytes: number,
    array: 'keys' | 'values',
    inspector: KeyInspector | ValueInspector,
    doneBefore: number,
  ): Promise<number> {
    if (!existsSync(path)) {
      problems.add({ kind: 'missing', path, message: `${path} is missing` });
      return 0;
    }
    const file = new RandomAccessFile(path, 'verify the datastore');
    try {
      checkSize(file, rows * rowBytes, manifest, problems);
      const there = Math.min(rows, Math.floor(file.size / rowBytes));
      const digests = manifest?.segments.map((segment) => segment[array]);
      await scanArray(
        file,
        { rows: there, rowBytes, segmentRows: manifest?.segmentRows, digests },
        problems,
        {
          ...options,
          inspect: (bytes, firstRow) => inspector.inspect(bytes, firstRow),
          onBytes: (done) =>
            options.onProgress?.({ stage: 'verify', done: doneBefore + done, total, unit: 'bytes' }),
        },
      );
      return there;
    } finally {
      file.close();
    }
  }
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
  file: RandomAccessFile,
  expected: number,
  manifest: Manifest | undefined,
  problems: ProblemList,
): void {
  const { path, size } = file;
  if (size === expected || (size > expected && manifest?.finished !== true)) return;
  problems.add({ kind: 'size', path, message: `${path} has ${size} bytes, not ${expected}` });
}
