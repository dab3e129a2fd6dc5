import { CancelledError, ensureFolder, throwIfAborted, type Logger, type TaskOptions } from '@knn-lm/common';
import { openCommittedArrays, type CommittedArrays } from './committed-arrays.js';
import { DatastoreError, describeWriteError } from './error.js';
import type { DatastoreDescription } from './identity.js';
import { WriterLock } from './lock.js';
import { prepareExtension } from './prepare-extension.js';
import { prepareFolder, prepareReplacement, type PreparedFolder, type WantedDatastore } from './prepare.js';

/** A folder that is locked, prepared, and open at its last commit. */
export interface BegunWriting extends PreparedFolder, CommittedArrays {
  readonly lock: WriterLock;
}

type Opened = Omit<BegunWriting, 'lock'>;

/** Begins, resumes or replaces a datastore; see `DatastoreWriter.create`. */
export function beginDatastore(
  folder: string,
  wanted: WantedDatastore,
  overwrite: boolean,
  task: TaskOptions & { readonly logger: Logger },
): Promise<BegunWriting> {
  return underLock(folder, task, () => openForWriting(folder, wanted, overwrite, task.logger));
}

/** Begins or resumes to append a text to a finished datastore; see `DatastoreWriter.extend`. */
export function beginExtension(
  folder: string,
  wanted: DatastoreDescription,
  task: TaskOptions & { readonly logger: Logger },
): Promise<BegunWriting> {
  return underLock(folder, task, async () => open(await prepareExtension(folder, wanted, task.logger)));
}

async function underLock(
  folder: string,
  { signal }: TaskOptions,
  prepare: () => Promise<Opened>,
): Promise<BegunWriting> {
  let lock: WriterLock | undefined;
  try {
    throwIfAborted(signal);
    await ensureFolder(folder);
    lock = await WriterLock.acquire(folder);
    return { ...(await prepare()), lock };
  } catch (cause) {
    await lock?.release();
    throw describeWriteError(unwrap(cause), folder, 'nothing was changed');
  }
}

async function open(prepared: PreparedFolder): Promise<Opened> {
  return { ...prepared, ...(await openCommittedArrays(prepared.target, prepared.manifest)) };
}

/** An unfinished datastore whose arrays are damaged cannot be resumed; with `overwrite` it is replaced. */
async function openForWriting(
  folder: string,
  wanted: WantedDatastore,
  overwrite: boolean,
  logger: Logger,
): Promise<Opened> {
  const prepared = await prepareFolder(folder, wanted, overwrite, logger);
  try {
    return await open(prepared);
  } catch (error) {
    if (!overwrite || (error as DatastoreError).code !== 'DATASTORE_DAMAGED') throw error;
    logger.warn((error as DatastoreError).message);
    return open(await prepareReplacement(folder, wanted, logger, 'afresh'));
  }
}

/** A folder that cannot be made arrives as a described error; its cause tells what kind it is. */
function unwrap(cause: unknown): unknown {
  if (cause instanceof DatastoreError || cause instanceof CancelledError) return cause;
  const inner = (cause as Error | undefined)?.cause;
  return typeof (inner as NodeJS.ErrnoException | undefined)?.code === 'string' ? inner : cause;
}
