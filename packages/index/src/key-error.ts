import { join } from 'node:path';
import { KnnLmError } from '@knn-lm/common';
import { KnnIndexError } from './errors.js';
import type { KeySource } from './key-source.js';

/**
 * Says which key of the datastore it is that Faiss cannot take.
 *
 * @param cause - what was thrown
 * @param rowOf - from the row of a batch to the row of the datastore
 * @param source - the datastore
 */
export function describeKeyError(cause: unknown, rowOf: (row: number) => number, source: KeySource): unknown {
  if (!(cause instanceof KnnLmError) || typeof cause.details['row'] !== 'number') return cause;
  const row = rowOf(cause.details['row']);
  const path = join(source.folder, 'keys.npy');
  return new KnnIndexError(
    'KNN_INDEX_BAD_KEY',
    `${path}: the key of row ${row} cannot be indexed: ${cause.message}`,
    {
      hint: 'Generate the datastore again; with --keys-dtype fp32 if half precision overflows.',
      details: { path, row },
      cause,
    },
  );
}
