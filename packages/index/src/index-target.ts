import { join } from 'node:path';
import type { CheckedBuildOptions } from './build-options.js';
import { INDEX_FILE, shardFile } from './index-files.js';

/** Rows of a datastore that an index file holds. */
export interface RowRange {
  /** The first. */
  readonly firstRow: number;
  /** The one after the last. */
  readonly endRow: number;
}

/** One index file that is to be built. */
export interface IndexTarget extends RowRange {
  /** Its final name. */
  readonly path: string;
  /** Which shard it is; `undefined` for the whole index. */
  readonly shard: { readonly shardId: number; readonly numShards: number } | undefined;
}

/**
 * Keys are added in batches of 256 (packages/faiss/native/add.cc), and the last bits of a product of matrices may depend
 * on where a row is in its batch. Shards that begin with a batch are the single index's bytes.
 */
const ROWS_OF_A_BATCH = 256;

/** The file and the rows that the options ask for: all, or those of one shard. */
export function describeIndexTarget(rows: number, options: CheckedBuildOptions): IndexTarget {
  const { numShards, shardId, folder } = options;
  if (numShards === 1) return { path: join(folder, INDEX_FILE), firstRow: 0, endRow: rows, shard: undefined };
  return {
    path: join(folder, shardFile(shardId, numShards)),
    ...shardRows(rows, numShards, shardId),
    shard: { shardId, numShards },
  };
}

/** The contiguous rows of a shard: parts of about the same size that begin where a batch does. */
export function shardRows(rows: number, numShards: number, shardId: number): RowRange {
  const unit = rows >= numShards * ROWS_OF_A_BATCH ? ROWS_OF_A_BATCH : 1;
  const begin = (id: number): number =>
    id === numShards ? rows : Math.floor((rows * id) / numShards / unit) * unit;
  return { firstRow: begin(shardId), endRow: begin(shardId + 1) };
}
