import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureFolder, throwIfAborted, writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import { asBytes, contentOf } from './content.js';
import type { Datastore } from './datastore.js';
import { checkFolders, refuseFinished, type Derived, type DeriveOptions } from './derive.js';
import { DatastoreError, describeWriteError } from './error.js';
import type { DatastoreIdentity } from './identity.js';
import { NeighborScratch, type NeighborReader } from './neighbor-scratch.js';
import { numpyPermutation } from './numpy-permutation.js';
import { selectRows, type RowSelection } from './select.js';
import { weightsName } from './layout.js';

/** Neighbours of a number of queries. */
export interface FoundNeighbors {
  /** `[n, k]` ids, -1 for a missing one. */
  readonly ids: Float64Array;
  /** `[n, k]` squared distances. */
  readonly distances: Float32Array;
}

/** Finds the nearest entries of keys; `KnnIndex` of `@knn-lm/index` is one. */
export interface NeighborSource {
  /** Entries in the index. */
  readonly size: number;
  /** Dimensions of a key. */
  readonly dimension: number;
  /** Finds the neighbours of `[n, dimension]` queries. */
  search(
    queries: Float32Array,
    k: number,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<FoundNeighbors>;
}

/** What {@link greedyMerge} takes. */
export interface GreedyMergeOptions extends DeriveOptions {
  /** Neighbours of each entry that are looked at, the entry itself included. @default 8 */
  readonly k?: number | undefined;
  /** Entries searched at a time. @default 1024 */
  readonly batchSize?: number | undefined;
  /** Of the order in which entries are visited. @default 1 */
  readonly seed?: number | undefined;
  /** Leaves `datastore_knn_idx.npy` and `datastore_knn_distance.npy` in the folder. @default false */
  readonly saveNeighbors?: boolean | undefined;
  /** What else the result depends on: how the index searches. */
  readonly identity?: DatastoreIdentity | undefined;
}

/**
 * Prunes a datastore by greedy merging (J. He, G. Neubig, T. Berg-Kirkpatrick, "Efficient Nearest Neighbor Language
 * Models", EMNLP 2021, section 4.3): entries are visited in random order, and each takes in those of its nearest
 * neighbours that have the same value and were not merged yet. What is left is written with `weight.npy`, how many
 * entries each stands for.
 *
 * The order is that of the Python tool (`numpy.random.default_rng(seed).permutation`), and so is everything else but one
 * thing: a neighbour that the index did not find is left alone, where Python takes its -1 for the last entry.
 *
 * Memory: 12 bytes an entry, of which the index comes on top. Disk: `8 k` bytes an entry for the neighbours, in the new
 * folder, removed at the end. When it was interrupted the search is repeated; the copying goes on where it stopped.
 *
 * @param source - open, with its keys
 * @param index - of all its keys
 * @param folder - of the new datastore
 * @param options - k, order, how to watch and stop
 * @throws {@link DatastoreError} `DATASTORE_INDEX_MISMATCH`, `DATASTORE_BAD_ARGUMENT`, `DATASTORE_SAME_FOLDER`, and what
 * `DatastoreWriter` throws
 */
export async function greedyMerge(
  source: Datastore,
  index: NeighborSource,
  folder: string,
  options: GreedyMergeOptions = {},
): Promise<Derived> {
  const { k = 8, batchSize = 1024, seed = 1, saveNeighbors = false, overwrite = false, ...task } = options;
  for (const [name, value] of Object.entries({ k, batchSize })) checkCount(name, value);
  checkFolders(folder, [source]);
  checkIndex(source, index);
  await refuseFinished(folder, overwrite);
  const identity = { ...task.identity, prunedFrom: contentOf(source), pruning: 'greedy_merge', k, seed };
  try {
    await ensureFolder(folder);
    const path = join(folder, 'datastore_knn_idx.npy');
    const distances = saveNeighbors ? join(folder, 'datastore_knn_distance.npy') : undefined;
    const scratch = await NeighborScratch.create(path, k, distances);
    let weights: EntryWeights;
    try {
      await searchAll(source, index, scratch, { k, batchSize, ...task });
      const neighbors = await scratch.reader();
      weights = mergeEntries(source, neighbors, seed, task);
      neighbors.close();
    } catch (error) {
      await scratch.close().catch(() => undefined);
      await scratch.remove();
      if (distances !== undefined) await rm(distances, { force: true });
      throw error;
    }
    if (!saveNeighbors) await scratch.remove();
    // Before the datastore is finished, so that none is finished without its weights.
    await writeWeights(join(folder, weightsName), weights);
    return await selectRows(source, weights, folder, { ...task, overwrite, identity });
  } catch (cause) {
    throw describeWriteError(cause, folder, 'the datastore is not finished');
  }
}

async function searchAll(
  source: Datastore,
  index: NeighborSource,
  scratch: NeighborScratch,
  { k, batchSize, signal, onProgress }: { k: number; batchSize: number } & TaskOptions,
): Promise<void> {
  for (let row = 0; row < source.rows; row += batchSize) {
    throwIfAborted(signal, 'stopped while neighbours were looked up');
    const count = Math.min(batchSize, source.rows - row);
    const { ids, distances } = await index.search(source.readKeys(row, count), k, { signal });
    await scratch.append(ids, distances);
    onProgress?.({ stage: 'neighbours', done: row + count, total: source.rows, unit: 'entries' });
  }
}

/** How many entries each entry stands for; 0 for those that were merged into another. */
class EntryWeights implements RowSelection {
  readonly weights: Uint32Array;
  size: number;

  constructor(rows: number) {
    this.weights = new Uint32Array(rows).fill(1);
    this.size = rows;
  }

  has(row: number): boolean {
    return this.weights[row] > 0;
  }
}

function mergeEntries(
  source: Datastore,
  neighbors: NeighborReader,
  seed: number,
  { signal, onProgress }: TaskOptions,
): EntryWeights {
  const result = new EntryWeights(source.rows);
  const { weights } = result;
  const values = source.readValues(0, source.rows);
  const order = numpyPermutation(seed, source.rows);
  for (let done = 0; done < order.length; done++) {
    const entry = order[done];
    for (const neighbor of neighbors.of(entry)) {
      if (neighbor < 0 || neighbor === entry) continue;
      if (weights[neighbor] !== 1 || values[neighbor] !== values[entry]) continue;
      weights[neighbor] = 0;
      weights[entry]++;
    }
    if (done % 65536 !== 0) continue;
    throwIfAborted(signal, 'stopped while entries were merged');
    onProgress?.({ stage: 'merge', done, total: order.length, unit: 'entries' });
  }
  result.size = weights.reduce((count, weight) => count + (weight > 0 ? 1 : 0), 0);
  return result;
}

async function writeWeights(path: string, { weights, size }: EntryWeights): Promise<void> {
  await writeFileAtomic(path, async (file) => {
    const chunk = new Float32Array(Math.min(size, 1 << 16));
    let used = 0;
    const flush = async () => {
      await file.writeFile(asBytes(chunk.subarray(0, used)));
      used = 0;
    };
    for (const weight of weights) {
      if (weight === 0) continue;
      chunk[used++] = weight;
      if (used === chunk.length) await flush();
    }
    await flush();
  });
}

function checkIndex(source: Datastore, index: NeighborSource): void {
  if (index.size === source.rows && index.dimension === source.dimension) return;
  throw new DatastoreError(
    'DATASTORE_INDEX_MISMATCH',
    `the index has ${index.size} entries of ${index.dimension} dimensions, ${source.folder} has ${source.rows} of ${source.dimension}`,
    {
      hint: 'The index belongs to another datastore: build it again (build_faiss_index --overwrite).',
      details: { found: index.size, expected: source.rows },
    },
  );
}

function checkCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value > 0) return;
  throw new DatastoreError('DATASTORE_BAD_ARGUMENT', `${name} is ${value}, not a positive integer`, {
    hint: 'Give a positive integer.',
  });
}
