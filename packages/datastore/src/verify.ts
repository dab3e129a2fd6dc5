import { availableParallelism } from 'node:os';
import type { TaskOptions } from '@knn-lm/common';
import { DatastoreError } from './error.js';
import {
  checkShape,
  datastorePaths,
  requireLittleEndian,
  type DatastoreShape,
  type KeysDtype,
} from './layout.js';
import { readManifest, type Manifest } from './manifest.js';
import { checkGivenShape, shapeFromOptions } from './open.js';
import { partResolvers, type ResolvedPart } from './parts.js';
import { ProblemList, type DatastoreProblem, type ProblemCounts } from './problems.js';
import { rowBytesOf, type PartReport, type VerifyPart } from './verify-part.js';
import { committedRowsOf, planParts } from './verify-plan.js';
import { verifyParts } from './verify-threads.js';
import { verifyWeights, type WeightsReport } from './verify-weights.js';

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
  /** About `weight.npy`; `undefined` where there is none that can be read. */
  readonly weights: WeightsReport | undefined;
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
 * Reads a whole datastore and checks it: sizes, the checksum of every committed segment, that keys are finite, that values
 * are token ids (of the vocabulary, if its size is given), and the weights, where there are any. The parts of one that is
 * a list of others are checked like it. Nothing is changed.
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
  const folders = await foldersOf(folder, manifest, manifest?.committedRows ?? shape.rows, problems);
  const { vocabularySize, threads = Math.min(maxThreads, availableParallelism()) } = options;
  const plan = (array: 'keys' | 'values') =>
    folders.flatMap((part) => {
      const rows = part.folder === folder && manifest !== undefined ? committedRowsOf(manifest) : part.rows;
      const common = { shape, rows, manifest: part.manifest, vocabularySize };
      return planParts({ ...common, array, path: part[array] }, problems);
    });
  const [keyParts, valueParts] = [plan('keys'), plan('values')];
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
  const weights = verifyWeights(folder, shape.rows, manifest?.weights, problems, options);
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
    weights,
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

/** Folders whose arrays hold the rows: the datastore's own, or its parts as far as they are what they should be. */
async function foldersOf(
  folder: string,
  manifest: Manifest | undefined,
  rows: number,
  problems: ProblemList,
): Promise<readonly ResolvedPart[]> {
  const found: ResolvedPart[] = [];
  for (const resolve of partResolvers(folder, manifest, rows)) {
    try {
      found.push(await resolve());
    } catch (error) {
      if (!(error instanceof DatastoreError) || manifest?.parts === undefined) throw error;
      const { path = folder } = error.details as { path?: string };
      problems.add({ kind: 'part', path, message: error.message });
    }
  }
  return found;
}

function checkState(folder: string, manifest: Manifest, problems: ProblemList): void {
  const { committedRows, rows, replacing, finished, appending } = manifest;
  const path = datastorePaths(folder).manifest;
  const say = (message: string) => problems.add({ kind: 'unfinished', path, message });
  if (appending !== undefined)
    say(
      `${folder}: a text is being appended, ${appending.committedRows} of ${appending.rows} rows are committed; ` +
        `the ${rows} rows before it are not concerned (run the command that appends it once more, it resumes)`,
    );
  if (finished) return;
  say(
    replacing
      ? `${folder}: its replacement was interrupted while it was moved in`
      : `${folder} is unfinished: ${committedRows} of ${rows} rows are committed`,
  );
}
