import { KnnLmError, describeFileError, type ErrorDetails } from '@knn-lm/common';

/** Thrown when a datastore, its manifest, or what was asked of it is wrong. Its code begins with `DATASTORE_`. */
export class DatastoreError extends KnnLmError {
  /** Always `DatastoreError`. */
  override readonly name = 'DatastoreError';
}

/** File system codes that mean: no room, whatever the limit is called. */
const outOfSpace = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const notWritable = new Set(['EACCES', 'EPERM', 'EROFS']);

/**
 * Turns what a write to a datastore threw into a {@link DatastoreError} that says what is kept.
 *
 * @param cause - what was thrown
 * @param path - the file that was written
 * @param kept - what of the datastore stays valid, as a sentence
 */
export function describeWriteError(cause: unknown, path: string, kept: string): unknown {
  const systemCode = (cause as NodeJS.ErrnoException | undefined)?.code;
  if (cause instanceof KnnLmError || typeof systemCode !== 'string') return cause;
  const details: ErrorDetails = { path, systemCode };
  if (outOfSpace.has(systemCode)) {
    return new DatastoreError(
      'DATASTORE_DISK_FULL',
      `cannot write ${path}: no space is left (${systemCode}); ${kept}`,
      {
        hint: 'Free some space (or raise the quota or file size limit) and run the same command again: it resumes.',
        details,
        cause,
      },
    );
  }
  if (notWritable.has(systemCode)) {
    return new DatastoreError(
      'DATASTORE_NOT_WRITABLE',
      `cannot write ${path}: it or its folder may not be written (${systemCode}); ${kept}`,
      { hint: 'Check the permissions of the folder, or choose another one.', details, cause },
    );
  }
  const described = describeFileError(cause, path, 'write the datastore');
  return new DatastoreError(
    'DATASTORE_WRITE_FAILED',
    `${described instanceof Error ? described.message : String(described)}; ${kept}`,
    { hint: 'Check the disk, then run the same command again: it resumes.', details, cause },
  );
}

/** Turns what a read threw into a {@link DatastoreError}; other errors are returned as they are. */
export function describeReadError(cause: unknown, path: string, action: string): unknown {
  const described = describeFileError(cause, path, action);
  if (!(described instanceof KnnLmError) || described instanceof DatastoreError) return described;
  return new DatastoreError(`DATASTORE_${described.code}`, described.message, {
    ...(described.hint === undefined ? {} : { hint: described.hint }),
    details: described.details,
    cause: described,
  });
}
