import { realpathSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { ensureFolder, throwIfAborted } from '@knn-lm/common';
import type { Datastore } from './datastore.js';
import { checkFolders, type Derived, type DeriveOptions } from './derive.js';
import { DatastoreError, describeWriteError } from './error.js';
import { compareDescriptions, describeDifferences } from './identity.js';
import { WriterLock } from './lock.js';
import { readManifest, writeManifest, type DatastorePart, type Manifest } from './manifest.js';
import { checkDimension, commonTransform, concatenatedWeights } from './merge.js';
import { mergeIdentities } from './merge-identity.js';
import {
  existingFiles,
  finishedError,
  mismatchError,
  removeTemporaryFiles,
  unmanagedError,
} from './prepare.js';
import { discardReplacement, moveReplacementIn, replacementFolder, resumeMove } from './replacement.js';
import { removeWeights, saveWeights } from './save-weights.js';
import { hasWeights, withWeights } from './source-weights.js';
import { saveTorchTransform } from './torch-transform.js';
import { versioned } from './writing.js';

/** What {@link linkDatastores} takes. */
export interface LinkOptions extends DeriveOptions {
  /** Lists datastores of different models or dictionaries, and shards that are not a whole. @default false */
  readonly force?: boolean | undefined;
}

/**
 * Makes a datastore that has the rows of several, in order, without copying them: its manifest lists their folders, and
 * everything that reads a datastore reads the rows there. The parts must stay where they are from its own folder; when it
 * is opened they are checked to be what they were. Weights, which are small, are copied.
 *
 * @param sources - open; of one dimension and precision, each with a manifest; one that is a list itself counts as its parts
 * @param folder - of the new datastore
 * @param options - force, overwrite, how to stop
 * @throws {@link DatastoreError} `DATASTORE_MERGE_MISMATCH`, `DATASTORE_MERGE_SHARDS`, `DATASTORE_UNMANAGED`,
 * `DATASTORE_SAME_FOLDER`, `DATASTORE_ALREADY_FINISHED`, `DATASTORE_MISMATCH`, `DATASTORE_LOCKED`, and what writing throws
 *
 * @example
 * ```ts
 * const shards = await Promise.all(['shard-0', 'shard-1'].map((folder) => Datastore.open(folder)));
 * await linkDatastores(shards, 'datastore');
 * const datastore = await Datastore.open('datastore');
 * ```
 */
export async function linkDatastores(
  sources: readonly Datastore[],
  folder: string,
  options: LinkOptions = {},
): Promise<Derived> {
  const { force = false, overwrite = false, signal } = options;
  checkSources(sources);
  checkFolders(folder, sources);
  let lock: WriterLock | undefined;
  try {
    throwIfAborted(signal);
    await ensureFolder(folder);
    lock = await WriterLock.acquire(folder);
    const manifest = listOf(sources, folder, force);
    const target = await prepare(folder, manifest, overwrite);
    await writeInto(target, manifest, sources, options);
    if (target !== folder) await moveReplacementIn(folder);
    return { rows: manifest.rows, rowsResumed: 0 };
  } catch (cause) {
    throw describeWriteError(cause, folder, 'nothing was changed');
  } finally {
    await lock?.release();
  }
}

function listOf(sources: readonly Datastore[], folder: string, force: boolean): Manifest {
  const base = realpathSync(folder);
  const parts = sources.flatMap((source) => partsOf(source, base));
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const { dimension, dtype } = sources[0];
  return versioned({
    version: 0,
    ...{ rows, committedRows: rows, dimension, dtype, finished: true, replacing: false },
    identity: mergeIdentities(sources, force),
    segmentRows: rows,
    segments: [],
    parts,
  });
}

function partsOf(source: Datastore, base: string): DatastorePart[] {
  const listed = source.manifest?.parts ?? [
    { folder: '.', rows: source.rows, fingerprint: source.fingerprint ?? '' },
  ];
  const from = realpathSync(source.folder);
  return listed.map((part) => ({
    ...part,
    folder: relative(base, join(from, part.folder)).split(sep).join('/'),
  }));
}

/** Where the list is written: the folder, or that of its replacement. */
async function prepare(folder: string, wanted: Manifest, overwrite: boolean): Promise<string> {
  await removeTemporaryFiles(folder);
  await resumeMove(folder);
  const found = await readManifest(folder);
  const files = existingFiles(folder);
  if (files.length === 0) return folder;
  if (overwrite) {
    await discardReplacement(folder);
    await ensureFolder(replacementFolder(folder));
    return replacementFolder(folder);
  }
  if (found === undefined) throw unmanagedError(folder, files);
  const differences = compareDescriptions(found, wanted);
  const isSame = differences.length === 0 && JSON.stringify(found.parts) === JSON.stringify(wanted.parts);
  if (isSame) throw finishedError(folder, found);
  throw mismatchError(
    folder,
    found,
    differences.length > 0 ? describeDifferences(differences) : 'it does not list the same parts',
  );
}

/** The manifest comes last: with it, the datastore is there. */
async function writeInto(
  target: string,
  manifest: Manifest,
  sources: readonly Datastore[],
  options: LinkOptions,
): Promise<void> {
  const transform = commonTransform(sources, manifest.identity);
  if (transform !== undefined) {
    await saveTorchTransform(target, transform);
    await transform.save(target);
  }
  if (!sources.some(hasWeights)) {
    await removeWeights(target);
    return writeManifest(target, manifest);
  }
  const weights = await withWeights(sources, (readers) =>
    saveWeights(target, manifest.rows, concatenatedWeights(sources, readers), options),
  );
  await writeManifest(target, versioned({ ...manifest, weights }));
}

function checkSources(sources: readonly Datastore[]): void {
  if (sources.length === 0) {
    throw new DatastoreError('DATASTORE_BAD_ARGUMENT', 'there is no datastore to list', {
      hint: 'Name one or more.',
    });
  }
  for (const source of sources) {
    checkDimension(source, sources[0]);
    if (source.manifest === undefined) {
      throw new DatastoreError(
        'DATASTORE_UNMANAGED',
        `${source.folder} has no manifest: another program made it, and nothing would tell when it changes`,
        {
          hint: 'Copy it into one with a manifest (merge_datastore without --link).',
          details: { folder: source.folder },
        },
      );
    }
    if (source.dtype === sources[0].dtype) continue;
    throw new DatastoreError(
      'DATASTORE_MERGE_MISMATCH',
      `${sources[0].folder} has ${sources[0].dtype} keys, ${source.folder} has ${source.dtype} keys`,
      {
        hint: 'Datastores that are not copied have to have one precision; copying converts (merge_datastore without --link).',
        details: { found: source.dtype, expected: sources[0].dtype },
      },
    );
  }
}
