import { createHash } from 'node:crypto';
import { ensureFolder, throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { contentOf } from './content.js';
import type { Datastore } from './datastore.js';
import { checkFolders, refuseFinished, type Derived, type DeriveOptions } from './derive.js';
import { DatastoreError, describeWriteError } from './error.js';
import type { DatastoreIdentity } from './identity.js';
import { NeighborScratch, type NeighborReader } from './neighbor-scratch.js';
import { numpyPermutation } from './numpy-permutation.js';
import { selectRows, type RowSelection } from './select.js';
import { allWeights, hasWeights, withWeights, type WeightReader } from './source-weights.js';

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
 * Where the source's entries have weights already, these are added up.
 *
 * Memory: 12 bytes an entry (16 with weights), of which the index comes on top. Disk: `8 k` bytes an entry for the
 * neighbours, in the new folder, removed at the end. When it was interrupted, the search and the copying go on where they
 * stopped; the merging between them, 0.9 CPU seconds for a million entries, is repeated.
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
  const madeFrom = createHash('sha256')
    .update(JSON.stringify([identity, batchSize]))
    .digest('hex');
  try {
    await ensureFolder(folder);
    const weights = await mergedWeights(source, index, folder, {
      k,
      batchSize,
      seed,
      saveNeighbors,
      madeFrom,
      ...task,
    });
    const derived = await selectRows(source, weights, folder, { ...task, overwrite, identity, weights });
    await weights.scratch.finish();
    return derived;
  } catch (cause) {
    throw describeWriteError(cause, folder, 'the datastore is not finished');
  }
}

interface MergePlan extends TaskOptions {
  readonly k: number;
  readonly batchSize: number;
  readonly seed: number;
  readonly saveNeighbors: boolean;
  readonly madeFrom: string;
}

/** Looks the neighbours up, or goes on with it, and merges. */
async function mergedWeights(
  source: Datastore,
  index: NeighborSource,
  folder: string,
  plan: MergePlan,
): Promise<EntryWeights & { readonly scratch: NeighborScratch }> {
  const { k, madeFrom, saveNeighbors: keepDistances } = plan;
  const scratch = await NeighborScratch.open(folder, { k, rows: source.rows, keepDistances, madeFrom });
  try {
    await searchAll(source, index, scratch, plan);
    const neighbors = scratch.reader();
    try {
      const result = await withWeights([source], ([weights]) =>
        Promise.resolve(mergeEntries(source, neighbors, hasWeights(source) ? weights : undefined, plan)),
      );
      return Object.assign(result, { scratch });
    } finally {
      neighbors.close();
    }
  } finally {
    await scratch.close();
  }
}

async function searchAll(
  source: Datastore,
  index: NeighborSource,
  scratch: NeighborScratch,
  { k, batchSize, signal, onProgress, logger }: MergePlan,
): Promise<void> {
  if (scratch.rows > 0)
    logger?.info(`${scratch.rows.toLocaleString('en-US')} entries were looked up by an earlier run`);
  try {
    for (let row = scratch.rows; row < source.rows; row += batchSize) {
      throwIfAborted(signal, 'stopped while neighbours were looked up');
      const count = Math.min(batchSize, source.rows - row);
      const { ids, distances } = await index.search(source.readKeys(row, count), k, { signal });
      await scratch.append(ids, distances);
      onProgress?.({ stage: 'neighbours', done: row + count, total: source.rows, unit: 'entries' });
    }
  } catch (error) {
    await scratch.commit();
    throw error;
  }
}

/** How many entries each entry stands for; 0 for those that were merged into another. */
class EntryWeights implements RowSelection, WeightReader {
  readonly counts: Uint32Array;
  /** What the entries weigh, where those of the source have weights. */
  readonly sums: Float32Array | undefined;
  size: number;

  constructor(rows: number, weights: WeightReader | undefined) {
    this.counts = new Uint32Array(rows).fill(1);
    this.size = rows;
    this.sums = weights && new Float32Array(rows);
    let row = 0;
    for (const chunk of weights === undefined ? [] : allWeights(weights, rows)) {
      this.sums?.set(chunk, row);
      row += chunk.length;
    }
  }

  has(row: number): boolean {
    return this.counts[row] > 0;
  }

  /** Lets an entry stand for another too; as in the Python tool, one that was merged itself stands up again by it. */
  take(entry: number, other: number): void {
    this.counts[other] = 0;
    if (this.counts[entry]++ > 0) this.size--;
    if (this.sums === undefined) return;
    this.sums[entry] += this.sums[other];
    this.sums[other] = 0;
  }

  read(start: number, count: number): Float32Array {
    return Float32Array.from((this.sums ?? this.counts).subarray(start, start + count));
  }
}

function mergeEntries(
  source: Datastore,
  neighbors: NeighborReader,
  weights: WeightReader | undefined,
  { seed, signal, onProgress }: MergePlan,
): EntryWeights {
  const result = new EntryWeights(source.rows, weights);
  const { counts } = result;
  const values = source.readValues(0, source.rows);
  const order = numpyPermutation(seed, source.rows);
  for (let done = 0; done < order.length; done++) {
    const entry = order[done];
    for (const neighbor of neighbors.of(entry)) {
      if (neighbor < 0 || neighbor === entry) continue;
      if (counts[neighbor] === 1 && values[neighbor] === values[entry]) result.take(entry, neighbor);
    }
    if (done % 65536 !== 0) continue;
    throwIfAborted(signal, 'stopped while entries were merged');
    onProgress?.({ stage: 'merge', done, total: order.length, unit: 'entries' });
  }
  return result;
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
