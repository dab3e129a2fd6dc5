import { existsSync } from 'node:fs';
import { readdir, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureFolder, type Logger } from '@knn-lm/common';
import { DatastoreError } from './error.js';
import { compareDescriptions, describeDifferences, type DatastoreDescription } from './identity.js';
import { datastorePaths, keyBytes, manifestName, valueBytes, weightsName } from './layout.js';
import { lockName } from './lock.js';
import { plainVersion, readManifest, writeManifest, type Manifest } from './manifest.js';
import { discardReplacement, replacementFolder, resumeMove } from './replacement.js';
import { textsOf } from './texts.js';
import { writingOf } from './writing.js';

/** The datastore that is asked for. */
export interface WantedDatastore extends DatastoreDescription {
  /** Rows of a full segment, if it is begun. */
  readonly segmentRows: number;
}

/** Where a writer writes, and what is there already. */
export interface PreparedFolder {
  /** The folder of the arrays: the datastore's own, or its replacement's. */
  readonly target: string;
  /** The manifest in `target`. */
  readonly manifest: Manifest;
}

/**
 * Decides what writing a datastore into a folder means: a new one, the rest of an unfinished one, or the replacement
 * of another. Must be called under the writer's lock.
 *
 * @throws {@link DatastoreError} `DATASTORE_UNMANAGED`, `DATASTORE_MISMATCH`, `DATASTORE_ALREADY_FINISHED`
 */
export async function prepareFolder(
  folder: string,
  wanted: WantedDatastore,
  overwrite: boolean,
  logger: Logger,
): Promise<PreparedFolder> {
  await removeTemporaryFiles(folder);
  const found = await readOwnManifest(folder, overwrite, logger);
  if (found === undefined) {
    const arrays = existingFiles(folder);
    if (arrays.length === 0) {
      await discardReplacement(folder);
      return begin(folder, wanted, logger);
    }
    if (!overwrite) throw unmanagedError(folder, arrays);
    return prepareReplacement(folder, wanted, logger);
  }
  const differences = compareDescriptions(firstText(found), wanted);
  if (differences.length === 0 && !found.finished) return resume(folder, found, logger);
  if (overwrite) return prepareReplacement(folder, wanted, logger);
  if (differences.length > 0) throw mismatchError(folder, found, describeDifferences(differences));
  throw finishedError(folder, found);
}

/** A datastore as it was before anything was appended to it: running its first command again is not asking for another. */
function firstText(found: Manifest): DatastoreDescription {
  const [{ rows, identity }] = textsOf(found);
  return { ...found, rows, identity };
}

/** Temporary files of locks are used for milliseconds; older ones belong to processes that were killed. */
const temporaryLockMs = 10 * 60_000;

/** Removes the temporary files of processes that were killed. Manifests and weights are only written under the lock, held here. */
export async function removeTemporaryFiles(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const isOurs = name.startsWith(`.${manifestName}.`) || name.startsWith(`.${weightsName}.`);
    if (!name.endsWith('.tmp') || !(isOurs || name.startsWith(`.${lockName}.`))) continue;
    const path = join(folder, name);
    if (isOurs || Date.now() - (await stat(path)).mtimeMs > temporaryLockMs) await rm(path, { force: true });
  }
}

/** With `overwrite`, a manifest that cannot be read is like one that another program made. */
async function readOwnManifest(
  folder: string,
  overwrite: boolean,
  logger: Logger,
): Promise<Manifest | undefined> {
  try {
    await resumeMove(folder);
    return await readManifest(folder);
  } catch (error) {
    if (!overwrite || !(error instanceof DatastoreError) || !error.code.startsWith('DATASTORE_MANIFEST'))
      throw error;
    logger.warn(error.message);
    return undefined;
  }
}

/**
 * Begins or resumes the datastore that will replace the one in a folder.
 *
 * @param from - `afresh` to drop what was begun before
 */
export async function prepareReplacement(
  folder: string,
  wanted: WantedDatastore,
  logger: Logger,
  from: 'afresh' | 'last commit' = 'last commit',
): Promise<PreparedFolder> {
  const target = replacementFolder(folder);
  const begun = from === 'afresh' ? undefined : await readManifest(target).catch(() => undefined);
  if (begun !== undefined && compareDescriptions(begun, wanted).length === 0)
    return resume(target, begun, logger);
  await discardReplacement(folder);
  await ensureFolder(target);
  logger.info(
    `${folder}: the datastore there is kept until the one that replaces it is complete (${target})`,
  );
  return begin(target, wanted, logger);
}

/** The manifest comes first: from then on, arrays without one were made by another program. */
async function begin(target: string, wanted: WantedDatastore, logger: Logger): Promise<PreparedFolder> {
  const manifest: Manifest = {
    version: plainVersion,
    rows: wanted.rows,
    committedRows: 0,
    dimension: wanted.dimension,
    dtype: wanted.dtype,
    finished: false,
    replacing: false,
    identity: wanted.identity,
    segmentRows: wanted.segmentRows,
    segments: [],
  };
  await warnOfLittleSpace(target, manifest, logger);
  await writeManifest(target, manifest);
  return { target, manifest };
}

/** Goes on with what a manifest says is being written. */
export async function resume(target: string, manifest: Manifest, logger: Logger): Promise<PreparedFolder> {
  const { baseRows, committedRows, rows } = writingOf(manifest);
  const what = baseRows > 0 ? `${rows} rows to append` : `${rows} rows`;
  logger.info(`${target}: resuming after ${committedRows} of ${what}`);
  await warnOfLittleSpace(target, manifest, logger);
  return { target, manifest };
}

/** Only a warning: compressing file systems hold more than they say, and space can be freed meanwhile. */
export async function warnOfLittleSpace(target: string, manifest: Manifest, logger: Logger): Promise<void> {
  const { rows, committedRows } = writingOf(manifest);
  const needed = (rows - committedRows) * (keyBytes(manifest) + valueBytes);
  const { bavail, bsize } = await statfs(target);
  const free = bavail * bsize;
  if (free >= needed) return;
  const gigabytes = (bytes: number): string => (bytes / 1e9).toPrecision(3);
  logger.warn(
    `${target}: ${gigabytes(needed)} GB are to be written, but only ${gigabytes(free)} GB are free`,
  );
}

/** A manifest counts too: it is there, but could not be read. */
export function existingFiles(folder: string): string[] {
  const { keys, values, manifest } = datastorePaths(folder);
  return [keys, values, manifest].filter((path) => existsSync(path));
}

/** The error for arrays that another program made. */
export function unmanagedError(folder: string, arrays: string[]): DatastoreError {
  return new DatastoreError(
    'DATASTORE_UNMANAGED',
    `${arrays.join(' and ')} exist${arrays.length === 1 ? 's' : ''} without a manifest of this program: another one made this`,
    { hint: 'Choose another folder, or overwrite on purpose (--overwrite).', details: { folder } },
  );
}

/** The error for a datastore made from something else. */
export function mismatchError(folder: string, found: Manifest, differences: string): DatastoreError {
  const state = found.finished
    ? 'a finished'
    : `an unfinished (${found.committedRows} of ${found.rows} rows)`;
  return new DatastoreError(
    'DATASTORE_MISMATCH',
    `${folder} holds ${state} datastore made from something else: ${differences}`,
    {
      hint: 'Choose another folder, give the options it was begun with, or overwrite on purpose (--overwrite).',
      details: { folder, differences, committedRows: found.committedRows, finished: found.finished },
    },
  );
}

/** The error for what is there already, which the caller reports as good news. */
export function finishedError(folder: string, found: Manifest): DatastoreError {
  const { rows, dimension, dtype, texts = [] } = found;
  const of = texts.length > 1 ? `, of ${texts.length} texts` : '';
  return new DatastoreError(
    'DATASTORE_ALREADY_FINISHED',
    `${folder} holds this datastore already, finished: ${rows} keys of ${dimension} ${dtype}${of}; it is kept`,
    { hint: 'Use it, or make it again (--overwrite).', details: { folder, rows, dimension, dtype } },
  );
}
