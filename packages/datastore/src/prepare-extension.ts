import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@knn-lm/common';
import { damaged } from './array-file.js';
import { DatastoreError } from './error.js';
import { compareDescriptions, describeDifferences, type DatastoreDescription } from './identity.js';
import { datastorePaths, keyBytes, valueBytes, weightsName } from './layout.js';
import { readManifest, writeManifest, type Manifest } from './manifest.js';
import { meaningFields } from './merge-identity.js';
import {
  existingFiles,
  finishedError,
  mismatchError,
  removeTemporaryFiles,
  resume,
  unmanagedError,
  warnOfLittleSpace,
  type PreparedFolder,
} from './prepare.js';
import { resumeMove } from './replacement.js';
import { planAppendedSegmentRows } from './segments.js';
import { textsOf } from './texts.js';
import { versioned } from './writing.js';

/**
 * Prepares a finished datastore for a text that is to be appended, or finds the one that an interrupted run began to
 * append. Must be called under the writer's lock.
 *
 * @param folder - the datastore's
 * @param wanted - shape and identity of the text's rows
 * @throws {@link DatastoreError} `DATASTORE_NOT_FOUND`, `DATASTORE_UNMANAGED`, `DATASTORE_UNFINISHED`,
 * `DATASTORE_NOT_APPENDABLE`, `DATASTORE_MISMATCH`, `DATASTORE_ALREADY_FINISHED`, `DATASTORE_TOO_MANY_TEXTS`
 */
export async function prepareExtension(
  folder: string,
  wanted: DatastoreDescription,
  logger: Logger,
): Promise<PreparedFolder> {
  await removeTemporaryFiles(folder);
  await resumeMove(folder);
  const found = await readManifest(folder);
  if (found === undefined) throw nothingThere(folder);
  checkAppendable(folder, found);
  checkMeaning(folder, found, wanted);
  if (textsOf(found).some((text) => isSame(text, wanted))) throw finishedError(folder, found);
  const { appending } = found;
  if (appending === undefined) return begin(folder, found, wanted, logger);
  if (isSame(appending, wanted)) return resume(folder, found, logger);
  const differences = compareDescriptions({ ...found, ...appending }, wanted);
  throw new DatastoreError(
    'DATASTORE_MISMATCH',
    `another text is being appended to ${folder} (${appending.committedRows} of ${appending.rows} rows): ` +
      describeDifferences(differences),
    {
      hint: 'Finish that one first, with the command that began it.',
      details: { folder, committedRows: appending.committedRows },
    },
  );
}

async function begin(
  folder: string,
  found: Manifest,
  { rows, identity }: DatastoreDescription,
  logger: Logger,
): Promise<PreparedFolder> {
  await checkSizes(folder, found);
  const segmentRows = planAppendedSegmentRows(rows, found.segmentRows, found.segments.length);
  const appending = { rows, identity, committedRows: 0, segmentRows, segments: [] };
  const manifest = versioned({ ...found, appending });
  await warnOfLittleSpace(folder, manifest, logger);
  await writeManifest(folder, manifest);
  return { target: folder, manifest };
}

/** What lies beyond the finished rows is cut off when something is appended, so it must not be anybody's. */
async function checkSizes(folder: string, found: Manifest): Promise<void> {
  const { keys, values } = datastorePaths(folder);
  for (const [path, rowBytes] of [
    [keys, keyBytes(found)],
    [values, valueBytes],
  ] as const) {
    const { size } = await stat(path).catch(() => ({ size: 0 }));
    const expected = found.rows * rowBytes;
    if (size !== expected) throw damaged(path, `it has ${size} bytes, not ${expected}`);
  }
}

function isSame(
  text: { rows: number; identity: DatastoreDescription['identity'] },
  wanted: DatastoreDescription,
) {
  return compareDescriptions({ ...wanted, ...text }, wanted).length === 0;
}

/** A key and a value of the text must mean what they mean in the rows that are there. */
function checkMeaning(folder: string, found: Manifest, wanted: DatastoreDescription): void {
  const differences = compareDescriptions(found, wanted).filter(
    ({ field }) =>
      field === 'dimension' || field === 'dtype' || (meaningFields as readonly string[]).includes(field),
  );
  if (differences.length > 0) throw mismatchError(folder, found, describeDifferences(differences));
}

function checkAppendable(folder: string, found: Manifest): void {
  if (!found.finished) {
    throw new DatastoreError(
      'DATASTORE_UNFINISHED',
      `${folder}: ${found.committedRows} of ${found.rows} rows are there; nothing can be appended before it is finished`,
      {
        hint: 'Run the command that makes it once more: it resumes where it stopped.',
        details: { folder, committedRows: found.committedRows, rows: found.rows },
      },
    );
  }
  const reason =
    found.parts !== undefined
      ? 'it is a list of other datastores'
      : found.weights !== undefined || existsSync(join(folder, weightsName))
        ? 'its entries have weights'
        : found.identity['transformFingerprint'] !== undefined
          ? 'its keys are reduced'
          : undefined;
  if (reason === undefined) return;
  throw new DatastoreError('DATASTORE_NOT_APPENDABLE', `nothing can be appended to ${folder}: ${reason}`, {
    hint: 'Append to the datastore that it was made from and make it again, or make a datastore of the new text and merge the two.',
    details: { folder },
  });
}

function nothingThere(folder: string): DatastoreError {
  const files = existingFiles(folder);
  if (files.length > 0) return unmanagedError(folder, files);
  return new DatastoreError('DATASTORE_NOT_FOUND', `there is no datastore in ${folder} to append to`, {
    hint: 'Check the folder; without --append the first datastore is made.',
    details: { folder },
  });
}
