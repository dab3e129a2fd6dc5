import { stat } from 'node:fs/promises';
import type { Logger } from '@knn-lm/common';
import { DatastoreError, describeReadError } from './error.js';
import {
  describeKeys,
  elementBytes,
  keyBytes,
  valueBytes,
  type DatastoreShape,
  type KeysDtype,
} from './layout.js';

/** Without a manifest a file may be longer, as NumPy's `memmap` allows; with one, the size is known. */
export type MayBeLonger = 'no' | 'yes' | 'with a warning';

/** Checks the size of `keys.npy`. */
export async function checkKeysSize(
  path: string,
  shape: DatastoreShape,
  may: MayBeLonger,
  logger: Logger,
): Promise<void> {
  const { rows, dimension, dtype } = shape;
  const other: KeysDtype = dtype === 'fp16' ? 'fp32' : 'fp16';
  const describe = (size: number): string =>
    `${describeKeys(size, dimension, dtype)} (or ${describeKeys(size, dimension, other)}, ` +
    `or ${rows} keys of ${Number((size / rows / elementBytes(dtype)).toFixed(2))} ${dtype})`;
  await checkSize(path, rows * keyBytes(shape), may, logger, {
    describe,
    expected: `${rows} keys of ${dimension} ${dtype}`,
  });
}

/** Checks the size of `values.npy`. */
export async function checkValuesSize(
  path: string,
  { rows }: DatastoreShape,
  may: MayBeLonger,
  logger: Logger,
): Promise<void> {
  await checkSize(path, rows * valueBytes, may, logger, {
    describe: (size) => `${Number((size / valueBytes).toFixed(2))} int64 values`,
    expected: `${rows} int64 values`,
  });
}

interface SizeWords {
  describe(this: void, size: number): string;
  readonly expected: string;
}

async function checkSize(
  path: string,
  needed: number,
  may: MayBeLonger,
  logger: Logger,
  words: SizeWords,
): Promise<void> {
  const size = await sizeOf(path);
  if (size === needed) return;
  if (size > needed && may === 'yes') return;
  if (size > needed && may === 'with a warning') {
    logger.warn(`${path} holds ${words.describe(size)}; only the first ${words.expected} are used`);
    return;
  }
  throw new DatastoreError(
    'DATASTORE_SIZE_MISMATCH',
    `${path} has ${size} bytes, not ${needed} (${words.expected}): it holds ${words.describe(size)}`,
    {
      hint:
        may !== 'with a warning'
          ? 'The file was cut or changed after it was finished: restore it from a copy, or make the datastore again.'
          : 'Give --datastore-size, --keys-dimension and --keys-dtype as in the program that made it.',
      details: { path, size, expected: needed },
    },
  );
}

/** Size of a regular file. */
export async function sizeOf(path: string): Promise<number> {
  try {
    const status = await stat(path);
    if (status.isFile()) return status.size;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT')
      throw describeReadError(cause, path, 'open the datastore');
    throw new DatastoreError('DATASTORE_NOT_FOUND', `there is no datastore: ${path} does not exist`, {
      hint: 'Check the folder; generate_lm_datastore makes a datastore.',
      details: { path },
      cause,
    });
  }
  throw new DatastoreError('DATASTORE_NOT_FOUND', `there is no datastore: ${path} is not a regular file`, {
    hint: 'Check the folder.',
    details: { path },
  });
}
