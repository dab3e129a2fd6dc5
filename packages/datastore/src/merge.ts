import { float16FromFloat32 } from '@knn-lm/common';
import type { Datastore } from './datastore.js';
import { chunkRowsOf, writeDerived, type Derived, type DeriveOptions, type Rows } from './derive.js';
import { DatastoreError } from './error.js';
import type { DatastoreIdentity } from './identity.js';
import type { KeyTransform } from './key-transform.js';
import type { KeysDtype } from './layout.js';
import { mergeIdentities } from './merge-identity.js';
import { allWeights, hasWeights, withWeights, type WeightReader } from './source-weights.js';

/** What {@link mergeDatastores} takes. */
export interface MergeOptions extends DeriveOptions {
  /** Precision of the merged keys. @default fp16 */
  readonly dtype?: KeysDtype | undefined;
  /** Merges datastores of different models or dictionaries, and shards that are not a whole. @default false */
  readonly force?: boolean | undefined;
}

/**
 * Writes one datastore that has the rows of several, in order. All shards of one datastore give the same bytes as making
 * it at once, manifest included. An interrupted merge goes on where it stopped. Weights are carried over; where only
 * some of the sources have any, the entries of the others weigh 1.
 *
 * Memory: 12 MiB, or a few rows where rows are larger than 4 MiB.
 *
 * @param sources - open, with keys; of one dimension
 * @param folder - of the merged datastore
 * @param options - precision, how to watch and stop
 * @throws {@link DatastoreError} `DATASTORE_MERGE_MISMATCH`, `DATASTORE_MERGE_SHARDS`, `DATASTORE_SAME_FOLDER`,
 * `DATASTORE_KEY_NOT_FINITE` (a number too large for fp16), and what `DatastoreWriter` throws
 *
 * @example
 * ```ts
 * const sources = await Promise.all(['shard-0', 'shard-1'].map((folder) => Datastore.open(folder)));
 * await mergeDatastores(sources, 'datastore');
 * ```
 */
export async function mergeDatastores(
  sources: readonly Datastore[],
  folder: string,
  options: MergeOptions = {},
): Promise<Derived> {
  const { dtype = 'fp16', force = false, overwrite = false, ...task } = options;
  if (sources.length === 0) {
    throw new DatastoreError('DATASTORE_BAD_ARGUMENT', 'there is no datastore to merge', {
      hint: 'Name one or more.',
    });
  }
  const { dimension } = sources[0];
  for (const source of sources) checkDimension(source, sources[0]);
  const rows = sources.reduce((sum, source) => sum + source.rows, 0);
  const identity = mergeIdentities(sources, force);
  const shape = { rows, dimension, dtype };
  return withWeights(sources, (readers) =>
    writeDerived(
      folder,
      sources,
      { ...shape, identity, overwrite, ...task },
      (row) => concatenated(sources, row, dtype),
      {
        weights: sources.some(hasWeights) ? () => concatenatedWeights(sources, readers) : undefined,
        transform: commonTransform(sources, identity),
      },
    ),
  );
}

/** The weights of all sources, in order. */
export function* concatenatedWeights(
  sources: readonly Datastore[],
  readers: readonly WeightReader[],
): Generator<Float32Array> {
  for (const [i, { rows }] of sources.entries()) yield* allWeights(readers[i], rows);
}

/** The map that all sources' keys went through, as their common identity says. */
export function commonTransform(
  sources: readonly Datastore[],
  identity: DatastoreIdentity,
): KeyTransform | undefined {
  return identity['transformFingerprint'] === undefined ? undefined : sources[0].transform;
}

function* concatenated(sources: readonly Datastore[], firstRow: number, dtype: KeysDtype): Generator<Rows> {
  let before = 0;
  for (const source of sources) {
    const step = chunkRowsOf(source);
    for (let row = Math.max(0, firstRow - before); row < source.rows; row += step) {
      const count = Math.min(step, source.rows - row);
      yield { keys: readKeysAs(source, row, count, dtype), values: source.readValues(row, count) };
    }
    before += source.rows;
  }
}

/** Reads keys in a precision; the same one is copied bit for bit. */
export function readKeysAs(
  source: Datastore,
  row: number,
  count: number,
  dtype: KeysDtype,
): Uint16Array | Float32Array {
  if (source.dtype === dtype) return source.readStoredKeys(row, count);
  const keys = source.readKeys(row, count);
  return dtype === 'fp32' ? keys : float16FromFloat32(keys);
}

/** Keys of several dimensions cannot be one array. */
export function checkDimension(source: Datastore, first: Datastore): void {
  if (source.dimension === first.dimension) return;
  throw new DatastoreError(
    'DATASTORE_MERGE_MISMATCH',
    `${first.folder} has keys of ${first.dimension} dimensions, ${source.folder} of ${source.dimension}`,
    {
      hint: 'Merge datastores of one dimension.',
      details: { found: source.dimension, expected: first.dimension },
    },
  );
}
