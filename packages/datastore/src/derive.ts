import { resolve } from 'node:path';
import type { TaskOptions } from '@knn-lm/common';
import type { Datastore } from './datastore.js';
import { DatastoreError } from './error.js';
import type { KeyTransform } from './key-transform.js';
import { compareDescriptions, describeDifferences, type DatastoreIdentity } from './identity.js';
import { readManifest } from './manifest.js';
import { mismatchError } from './prepare.js';
import { DatastoreWriter, type DatastoreWriterOptions } from './writer.js';

/** What every function takes that makes a datastore from others. */
export interface DeriveOptions extends TaskOptions {
  /** Replaces what is in the folder, as `DatastoreWriter` does. @default false */
  readonly overwrite?: boolean | undefined;
}

/** What became of it. */
export interface Derived {
  /** Rows of the new datastore. */
  readonly rows: number;
  /** Rows that an interrupted run had written before. */
  readonly rowsResumed: number;
}

/** Bytes of keys that are read at a time. */
const chunkBytes = 4 * 2 ** 20;

/** Rows of a datastore that are read at a time. */
export function chunkRowsOf({ dimension, dtype }: Datastore): number {
  return Math.max(1, Math.floor(chunkBytes / (dimension * (dtype === 'fp16' ? 2 : 4))));
}

/** Rows that are written together. */
export interface Rows {
  /** `[n, dimension]`, in the new datastore's precision. */
  readonly keys: Uint16Array | Float32Array;
  /** `[n]`. */
  readonly values: Int32Array;
}

/** What belongs to a datastore beside its arrays. */
export interface Companions {
  /** Gives the weights of the rows, where they have any. */
  readonly weights?: (() => Iterable<Float32Array>) | undefined;
  /** The map that the keys went through. */
  readonly transform?: KeyTransform | undefined;
}

/**
 * Writes a datastore whose rows come from a generator, in order. An interrupted run of the same identity goes on after
 * its last commit.
 *
 * @param folder - the new datastore's
 * @param sources - must be other folders
 * @param options - shape, identity, and how to watch and stop
 * @param rowsFrom - yields the rows from a given one on
 * @param companions - written before it is finished, so that none is finished without them
 */
export async function writeDerived(
  folder: string,
  sources: readonly Datastore[],
  options: DatastoreWriterOptions,
  rowsFrom: (row: number) => Iterable<Rows>,
  companions: Companions = {},
): Promise<Derived> {
  checkFolders(folder, sources);
  const writer = await DatastoreWriter.create(folder, options);
  const rowsResumed = writer.committedRows;
  try {
    // The next rows are read while these are written.
    let writing: Promise<void> = Promise.resolve();
    for (const { keys, values } of rowsFrom(rowsResumed)) {
      await writing;
      writing = writer.append(keys, values);
      // Seen at the next await.
      writing.catch(() => undefined);
    }
    await writing;
    if (companions.transform !== undefined) await writer.writeTransform(companions.transform);
    if (companions.weights !== undefined) await writer.writeWeights(companions.weights());
    await writer.finish();
    return { rows: writer.rows, rowsResumed };
  } finally {
    await writer.close();
  }
}

/** Refuses to write into a datastore that is read. */
export function checkFolders(folder: string, sources: readonly Datastore[]): void {
  const same = sources.find((source) =>
    [source.folder, ...source.folders].some((read) => resolve(read) === resolve(folder)),
  );
  if (same !== undefined) {
    throw new DatastoreError('DATASTORE_SAME_FOLDER', `${folder} is the datastore that would be read`, {
      hint: 'Write into another folder.',
      details: { folder },
    });
  }
}

/**
 * What takes long comes before the writer is made: what the writer would refuse at the end is refused at the start, a
 * finished datastore, or an unfinished one made from another source.
 *
 * @param identity - fields that an unfinished one has to have
 */
export async function refuseFinished(
  folder: string,
  overwrite: boolean,
  identity: DatastoreIdentity = {},
): Promise<void> {
  const manifest = await readManifest(folder);
  if (overwrite || manifest === undefined) return;
  const fields = Object.keys(identity);
  const found = Object.fromEntries(fields.map((field) => [field, manifest.identity[field]]));
  const differences = compareDescriptions({ ...manifest, identity: found }, { ...manifest, identity });
  if (differences.length > 0) throw mismatchError(folder, manifest, describeDifferences(differences));
  if (!manifest.finished) return;
  throw new DatastoreError(
    'DATASTORE_ALREADY_FINISHED',
    `${folder} holds a finished datastore of ${manifest.rows} rows already; it is kept`,
    { hint: 'Use it, or make it again (--overwrite).', details: { folder, rows: manifest.rows } },
  );
}
