import { KnnIndexError } from './errors.js';
import type { IndexRecord } from './index-record.js';
import type { KeySource } from './key-source.js';
import { sourceDifference } from './source-identity.js';

/** A datastore as far as an index can be compared with it. */
export type ComparedSource = Pick<
  KeySource,
  'folder' | 'rows' | 'fingerprint' | 'fingerprintOf' | 'gatherKeys'
> & {
  /** Whether keys can be read. @default true */
  readonly hasKeys?: boolean | undefined;
};

/**
 * Checks that an index was built from a datastore, or from its first rows, by what its record says of it.
 *
 * @param path - the index
 * @param record - its record; without one there is nothing to compare
 * @param source - the datastore
 * @throws {@link KnnIndexError} `KNN_INDEX_DATASTORE` with both sides
 */
export function checkIndexDatastore(
  path: string,
  record: Pick<IndexRecord, 'datastore'> | undefined,
  source: ComparedSource,
): void {
  const { datastore } = record ?? {};
  if (datastore === undefined) return;
  const difference = sourceDifference(datastore, source, source.hasKeys ?? true);
  if (difference === undefined) return;
  throw new KnnIndexError(
    'KNN_INDEX_DATASTORE',
    `${path} was built from another datastore: ${difference.found}; ${source.folder} has ${difference.expected}`,
    {
      hint: 'Build the index again (--overwrite), or use the datastore that it was built from.',
      details: { path, ...difference },
    },
  );
}
