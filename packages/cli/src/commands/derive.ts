import {
  Datastore,
  DatastoreError,
  readManifest,
  textsOf,
  type Derived,
  type KeysDtype,
  type Manifest,
} from '@knn-lm/datastore';
import type { Logger } from '@knn-lm/common';
import { optional, type Values } from './lm-task.js';

/** A datastore as the flags of a command describe it. */
export interface GivenDatastore {
  /** Its folder. */
  readonly folder: string;
  /** `--datastore-size`. */
  readonly rows?: number | undefined;
  /** `--keys-dimension`. */
  readonly dimension?: number | undefined;
  /** `--keys-dtype`. */
  readonly dtype?: KeysDtype | undefined;
}

/** Opens a datastore with its keys; without a manifest its keys are fp16 by default, as in the Python tools. */
export async function openSource(
  { folder, rows, dimension, dtype }: GivenDatastore,
  logger: Logger,
): Promise<Datastore> {
  const byDefault = dtype ?? ((await readManifest(folder)) === undefined ? 'fp16' : undefined);
  return Datastore.open(folder, { rows, dimension, dtype: byDefault, logger });
}

/** Runs what makes a datastore; one that is finished already is kept and reported, with `undefined` as the result. */
export async function unlessFinished<Result>(
  logger: Logger,
  make: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await make();
  } catch (error) {
    if (!(error instanceof DatastoreError) || error.code !== 'DATASTORE_ALREADY_FINISHED') throw error;
    logger.info(`${error.message}; --overwrite makes it again`);
    return undefined;
  }
}

/**
 * What a command that makes a datastore returns.
 *
 * @param folder - the new datastore
 * @param derived - what was done, or `undefined` for one that was finished already
 */
export async function derivedResult(folder: string, derived: Derived | undefined) {
  const manifest = await readManifest(folder);
  return {
    datastore: folder,
    kept: derived === undefined,
    rows: manifest?.rows ?? derived?.rows ?? null,
    rows_resumed: derived?.rowsResumed ?? null,
    dimension: manifest?.dimension ?? null,
    dtype: manifest?.dtype ?? null,
  };
}

/** The texts of a datastore and where their entries are, for `--json`. */
export function textsResult(manifest: Manifest) {
  return textsOf(manifest).map(({ firstRow, rows, identity }) => ({
    split: identity.split ?? null,
    text_fingerprint: identity.textFingerprint ?? null,
    first_row: firstRow,
    rows,
  }));
}

/** The datastore that `--datastore` and the flags about it describe. */
export function givenDatastore(values: Values): GivenDatastore {
  return {
    folder: values['datastore'] as string,
    rows: optional(values['datastore_size'] as number | null),
    dimension: optional(values['keys_dimension'] as number | null),
    dtype: optional(values['keys_dtype'] as KeysDtype | null),
  };
}
