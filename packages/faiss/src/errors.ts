import { getSystemErrorName } from 'node:util';
import { CancelledError, KnnLmError, describeFileError } from '@knn-lm/common';

/** Thrown by this package: wrong arguments, wrong index files, and what Faiss itself reports. */
export class FaissError extends KnnLmError {
  override readonly name = 'FaissError';
}

/** What the addon rejects with. */
interface NativeError extends Error {
  readonly code?: string;
  readonly row?: number;
  readonly systemError?: number;
}

const hints: Record<string, string> = {
  FAISS_NOT_TRAINED: 'Train the index first.',
  FAISS_EMPTY: 'Add vectors first.',
  FAISS_NOT_FINITE: 'Look for the vector’s source: half precision overflows above 65,504, for example.',
  FAISS_TOO_LARGE: 'Scale the vectors down: squared distances have to stay below 3.4e38.',
  FAISS_LISTS_FILE:
    'Put the file of the lists beside the index, whole as it was written, or build the index again.',
  FAISS_READ_ONLY: 'Open it without mapping, or join index files instead.',
  FAISS_MERGE_TRAINING: 'Index files that are joined have to come from one trained index; build them again.',
  FAISS_MERGE_IDS: 'The files are given in another order, or one of them belongs to another datastore.',
  FAISS_MERGE_KIND: 'Add all vectors to one index instead.',
  FAISS_OUT_OF_MEMORY: 'Work in smaller batches, or use a machine with more memory.',
  FAISS_INDEX_FORMAT: 'The file is damaged or cut short, or is no Faiss index; build or copy it again.',
};

/**
 * Turns what the addon threw into an error of this package.
 *
 * @param cause - what was thrown
 * @param action - what was tried, as a verb phrase
 * @param path - the file, where there is one
 */
export function describeNativeError(cause: unknown, action: string, path?: string): unknown {
  if (!(cause instanceof Error) || cause instanceof KnnLmError) return cause;
  const { code = 'FAISS_FAILED', message, row = -1, systemError = 0 }: NativeError = cause;
  if (code === 'FAISS_INTERRUPTED') return new CancelledError(`stopped: ${action}`, { cause });
  if (systemError > 0 && path !== undefined) {
    return describeFileError({ code: getSystemErrorName(-systemError) }, path, action);
  }
  const where = path === undefined ? '' : `${path}: `;
  const which = row >= 0 ? ` (row ${row})` : '';
  const hint = hints[code];
  return new FaissError(code, `cannot ${action}: ${where}${message}${which}`, {
    ...(hint === undefined ? {} : { hint }),
    details: { ...(row >= 0 ? { row } : {}), ...(path === undefined ? {} : { path }) },
    cause,
  });
}
