import { KnnIndexError } from './errors.js';
import type { IndexRecord } from './index-record.js';

/**
 * Checks that shards belong together: one kind, one training, one datastore, and rows that follow each other.
 *
 * @param paths - the shards, in order
 * @param records - what is known of each; `undefined` where nothing is
 * @throws {@link KnnIndexError} `KNN_INDEX_SHARDS` with both sides
 */
export function checkShards(paths: readonly string[], records: readonly (IndexRecord | undefined)[]): void {
  const [first] = records;
  if (first === undefined) return;
  let nextRow = 0;
  for (const [i, record] of records.entries()) {
    if (record === undefined) return;
    const pairs = [
      ['type', record.type, first.type],
      ['dimension', record.dimension, first.dimension],
      ['training', record.trainedSha256, first.trainedSha256],
      ['datastore', identityOf(record), identityOf(first)],
      ['first row', record.firstRow ?? 0, nextRow],
    ] as const;
    for (const [what, found, expected] of pairs) {
      if (found === expected) continue;
      throw new KnnIndexError(
        'KNN_INDEX_SHARDS',
        `${paths[i]} does not belong to the shards before it: its ${what} is ${found}, expected is ${expected}`,
        {
          hint: 'Build that shard again, from the same trained index and datastore.',
          details: { path: paths[i] },
        },
      );
    }
    nextRow += record.rows;
  }
}

function identityOf({ datastore }: IndexRecord): string {
  return datastore?.fingerprint ?? datastore?.sample ?? 'unknown';
}
