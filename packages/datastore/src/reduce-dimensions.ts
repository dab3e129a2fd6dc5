import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureFolder, float16FromFloat32 } from '@knn-lm/common';
import { contentOf } from './content.js';
import type { Datastore } from './datastore.js';
import {
  checkFolders,
  chunkRowsOf,
  refuseFinished,
  writeDerived,
  type Derived,
  type DeriveOptions,
  type Rows,
} from './derive.js';
import { DatastoreError, describeWriteError } from './error.js';
import { KeyTransform } from './key-transform.js';
import { trainPca } from './pca.js';
import { allWeights, hasWeights, withWeights } from './source-weights.js';

/** A finished analysis, until the datastore is finished too. */
const analysisName = 'transform.analysis';

/** What {@link reduceDimensions} takes. */
export interface ReduceOptions extends DeriveOptions {
  /** Dimension of the new keys, at most that of the old ones. */
  readonly dimension: number;
  /** Rotates the result at random (Faiss's `random_rotation`). @default false */
  readonly randomRotation?: boolean | undefined;
  /** Keys that the analysis is computed from at most, spread evenly. @default 1000 a dimension, as Faiss takes */
  readonly trainedKeys?: number | undefined;
}

/** What became of it. */
export interface Reduced extends Derived {
  /** The map that was applied, stored in the folder: `Datastore.open` finds it there. */
  readonly transform: KeyTransform;
}

/**
 * Writes a datastore whose keys are the principal components of another's: fewer dimensions, nearly the same distances
 * (PCA as Faiss's `PCAMatrix` does it). The map is stored beside the keys as `transform.msgpack` and named in the
 * manifest; queries have to go through it. `transform.pt` is the same map for the Python tools.
 *
 * The analysis runs in double precision over at most 1000 keys a dimension. When it was interrupted, a finished analysis
 * is used again and the writing goes on where it stopped.
 *
 * Memory: `32 d^2` bytes for `d` dimensions of the source, and some 20 MiB.
 *
 * @param source - open, with its keys
 * @param folder - of the new datastore
 * @param options - dimension, how to watch and stop
 * @throws {@link DatastoreError} `DATASTORE_BAD_ARGUMENT`, `DATASTORE_REDUCED_ALREADY` (the source has a transform),
 * `DATASTORE_SAME_FOLDER`, and what `DatastoreWriter` throws
 */
export async function reduceDimensions(
  source: Datastore,
  folder: string,
  options: ReduceOptions,
): Promise<Reduced> {
  const { dimension, randomRotation = false, overwrite = false, ...others } = options;
  const { trainedKeys = 1000 * source.dimension, ...task } = others;
  checkSource(source, dimension);
  checkFolders(folder, [source]);
  await refuseFinished(folder, overwrite);
  const how = [contentOf(source), dimension, randomRotation, trainedKeys];
  const madeFrom = createHash('sha256').update(JSON.stringify(how)).digest('hex');
  try {
    await ensureFolder(folder);
    const transform = await trainOrReuse(source, folder, {
      dimension,
      randomRotation,
      limit: trainedKeys,
      madeFrom,
      ...task,
    });
    const identity = {
      ...source.manifest?.identity,
      transformFingerprint: transform.fingerprint,
      reducedFrom: contentOf(source),
    };
    const shape = { rows: source.rows, dimension, dtype: source.dtype };
    const derived = await withWeights([source], ([weights]) =>
      writeDerived(
        folder,
        [source],
        { ...shape, identity, overwrite, ...task },
        (row) => reduced(source, transform, row),
        { transform, weights: hasWeights(source) ? () => allWeights(weights, source.rows) : undefined },
      ),
    );
    await rm(join(folder, analysisName), { force: true });
    return { ...derived, transform };
  } catch (cause) {
    throw describeWriteError(cause, folder, 'the datastore is not finished');
  }
}

async function trainOrReuse(
  source: Datastore,
  folder: string,
  options: Parameters<typeof trainPca>[1],
): Promise<KeyTransform> {
  const there = await KeyTransform.load(folder, analysisName).catch(() => undefined);
  if (there?.madeFrom === options.madeFrom) {
    options.logger?.info(`${folder}: the analysis of an earlier run is used again`);
    return there;
  }
  const { transform, keptVariance, rows } = await trainPca(source, options);
  options.logger?.info(
    `PCA of ${rows.toLocaleString('en-US')} keys: ${options.dimension} of ${source.dimension} dimensions ` +
      `keep ${(100 * keptVariance).toFixed(2)} % of the variance`,
  );
  await transform.save(folder, analysisName);
  return transform;
}

function* reduced(source: Datastore, transform: KeyTransform, firstRow: number): Generator<Rows> {
  const step = chunkRowsOf(source);
  for (let row = firstRow; row < source.rows; row += step) {
    const count = Math.min(step, source.rows - row);
    const keys = transform.apply(source.readKeys(row, count));
    yield {
      keys: source.dtype === 'fp16' ? float16FromFloat32(keys) : keys,
      values: source.readValues(row, count),
    };
  }
}

function checkSource(source: Datastore, dimension: number): void {
  if (source.transform !== undefined) {
    throw new DatastoreError(
      'DATASTORE_REDUCED_ALREADY',
      `the keys of ${source.folder} were reduced already`,
      {
        hint: 'Reduce the datastore that it was made from.',
        details: { folder: source.folder },
      },
    );
  }
  if (Number.isSafeInteger(dimension) && dimension >= 1 && dimension <= source.dimension) return;
  throw new DatastoreError(
    'DATASTORE_BAD_ARGUMENT',
    `keys of ${source.dimension} dimensions cannot be reduced to ${dimension}`,
    { hint: `Give a dimension from 1 to ${source.dimension}.`, details: { dimension } },
  );
}
