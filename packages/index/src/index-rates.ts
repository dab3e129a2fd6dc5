import { Pcg64, throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { planIvfPqTraining } from '@knn-lm/faiss';
import type { EngineIndex, IndexEngine } from './engine.js';
import { openEngine } from './open-engine.js';

/** The index whose speed is measured: an `IndexIVFPQ`. */
export interface ProbedIndex {
  /** Elements of a key. */
  readonly dimension: number;
  /** Coarse centroids. */
  readonly centroids: number;
  /** Codes a key. */
  readonly codeSize: number;
  /** Bits of a code. */
  readonly bitsPerIndex: number;
  /** Neighbours of a search. */
  readonly k: number;
  /** Threads; 0 for all cores. */
  readonly threads?: number | undefined;
}

/** What one unit of each kind of work takes on this machine, in seconds of wall time with the threads asked for. */
export interface IndexRates {
  /** Comparing one query with all coarse centroids. */
  readonly assign: number;
  /** Training the coarse quantizer, a key and centroid: all iterations. */
  readonly trainCentroid: number;
  /** Training the product quantizer, a key: all iterations. */
  readonly trainCode: number;
  /** Adding a key: assigning and encoding it. */
  readonly add: number;
  /** Visiting a list for one query, its codes aside. */
  readonly list: number;
  /** Looking at one code for one query. */
  readonly code: number;
  /** Putting one neighbour into the heap of the k nearest. */
  readonly keep: number;
  /** Neighbours of a search. */
  readonly k: number;
}

/** Queries that are timed together, as many as a search of an evaluation has at least. */
const QUERIES = 512;
/** Lists of the small index on which the cost of a code is measured. */
const FEW_LISTS = 8;
/** Keys and centroids of the k-means that is timed. */
const CLUSTERED = 8192;
const CLUSTERED_CENTROIDS = 512;
/** Keys that the small index is trained on. */
const TRAINED = 2048;
/** Keys in the small index. */
const ADDED = 16_384;

/**
 * Measures how fast an index of a given shape would be, on random vectors: what the work costs does not depend on them.
 *
 * Two small indexes are made. One has all the centroids asked for, each a vector of its own (Faiss copies the vectors
 * when there are as many as centroids, which takes no time) and one key in each list; the other has few lists, as long
 * as those of a real index. Takes some seconds for 1024 dimensions and 4096 centroids.
 *
 * @param shape - of the index that is planned
 * @param task - signal and logger
 * @throws `FaissError`; `CancelledError`
 */
export async function measureIndexRates(shape: ProbedIndex, task: TaskOptions = {}): Promise<IndexRates> {
  const engine = await openEngine('native', task.logger);
  const wide = await probeManyLists(engine, shape, task);
  const trainCentroid = await probeClustering(engine, shape, task);
  const few = await probeFewLists(engine, shape, task);
  const { assign, add, list } = wide;
  const code = Math.max(0, (few.nearest - few.lists * list) / ADDED);
  const keep = Math.max(0, (few.search - few.nearest) / keptOf(ADDED, shape.k));
  return { assign, add, list, code, keep, k: shape.k, trainCentroid, trainCode: few.trainCode };
}

/** What an exact index costs on this machine, in seconds of wall time. */
export interface ExactRates {
  /** Adding a key. */
  readonly add: number;
  /** Comparing a query with a key. */
  readonly compare: number;
}

/**
 * Measures how fast an `IndexFlatL2` would be.
 *
 * @param shape - dimension, neighbours and threads
 * @param task - logger
 * @throws `FaissError`
 */
export async function measureExactRates(
  { dimension, k, threads = 0 }: Pick<ProbedIndex, 'dimension' | 'k' | 'threads'>,
  task: TaskOptions = {},
): Promise<ExactRates> {
  const engine = await openEngine('native', task.logger);
  const index = engine.create({ type: 'IndexFlatL2', dimension });
  try {
    const vectors = randomVectors(ADDED, dimension, 1);
    const add = await secondsOf(() => index.add(vectors, { threads }));
    const queries = randomVectors(QUERIES, dimension, 2);
    const search = await shortestOf(() => index.search(queries, Math.min(k, ADDED), { threads }));
    return { add: add / ADDED, compare: search / QUERIES / ADDED };
  } finally {
    index.close();
  }
}

/** The cost of what depends on the number of lists. */
async function probeManyLists(engine: IndexEngine, shape: ProbedIndex, task: TaskOptions) {
  const { dimension, centroids, threads = 0 } = shape;
  const count = Math.max(centroids, 2 ** shape.bitsPerIndex);
  const vectors = randomVectors(count, dimension, 1);
  const index = createIndex(engine, shape, centroids);
  try {
    await train(index, vectors, task);
    throwIfAborted(task.signal);
    const queries = randomVectors(QUERIES, dimension, 2);
    const add = await secondsOf(() => index.add(vectors, { threads }));
    throwIfAborted(task.signal);
    const nprobe = Math.min(32, centroids);
    index.nprobe = nprobe;
    const all = await shortestOf(() => index.search(queries, 1, { threads }));
    index.nprobe = 1;
    const one = await shortestOf(() => index.search(queries, 1, { threads }));
    const list = Math.max(0, all - one) / QUERIES / Math.max(1, nprobe - 1);
    return { assign: Math.max(0, one / QUERIES - list), add: add / count, list };
  } finally {
    index.close();
  }
}

/** The cost of k-means, a key and centroid. */
async function probeClustering(engine: IndexEngine, shape: ProbedIndex, task: TaskOptions) {
  throwIfAborted(task.signal);
  const { dimension } = shape;
  const centroids = Math.min(CLUSTERED_CENTROIDS, shape.centroids);
  const index = engine.create({ type: 'factory', dimension, description: `IVF${centroids},Flat` });
  try {
    const vectors = randomVectors(CLUSTERED, dimension, 6);
    const seconds = await secondsOf(() => train(index, vectors, task));
    return seconds / CLUSTERED / centroids;
  } finally {
    index.close();
  }
}

/** The cost of what depends on the length of the lists, and of training the codes. */
async function probeFewLists(engine: IndexEngine, shape: ProbedIndex, task: TaskOptions) {
  const { dimension, threads = 0, k } = shape;
  const lists = Math.min(FEW_LISTS, shape.centroids);
  const index = createIndex(engine, shape, lists);
  try {
    const trainSeconds = await secondsOf(() => train(index, randomVectors(TRAINED, dimension, 3), task));
    throwIfAborted(task.signal);
    const added = randomVectors(TRAINED, dimension, 4);
    for (let done = 0; done < ADDED; done += TRAINED) {
      throwIfAborted(task.signal);
      await index.add(added, { threads });
    }
    const queries = randomVectors(QUERIES / 4, dimension, 5);
    index.nprobe = lists;
    const nearest = await shortestOf(() => index.search(queries, 1, { threads }));
    const search = await shortestOf(() => index.search(queries, Math.min(k, ADDED), { threads }));
    return {
      lists,
      trainCode: trainSeconds / TRAINED,
      nearest: nearest / (QUERIES / 4),
      search: search / (QUERIES / 4),
    };
  } finally {
    index.close();
  }
}

/** How often one of `codes` in random order is among the `k` nearest so far: `k + k (1/(k+1) + ... + 1/codes)`. */
function keptOf(codes: number, k: number): number {
  return codes <= k ? codes : k * (1 + Math.log(codes / k));
}

function createIndex(engine: IndexEngine, shape: ProbedIndex, centroids: number): EngineIndex {
  const { dimension, codeSize, bitsPerIndex } = shape;
  return engine.create({ type: 'IndexIVFPQ', dimension, centroids, codeSize, bitsPerIndex });
}

async function train(index: EngineIndex, vectors: Float32Array, task: TaskOptions): Promise<void> {
  const rows = vectors.length / index.dimension;
  const plan = { total: rows, rows, coarseRows: rows, productRows: rows, permuted: false };
  const set = index.trainingRows(plan);
  try {
    set.set(
      vectors,
      Float64Array.from({ length: rows }, (_, i) => i),
    );
    await index.train(set, plan, { signal: task.signal });
  } finally {
    set.close();
  }
}

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return (performance.now() - startMs) / 1000;
}

/** Of something short: another program that runs for a moment is not to be multiplied by a million queries. */
async function shortestOf(work: () => Promise<unknown>): Promise<number> {
  return Math.min(await secondsOf(work), await secondsOf(work), await secondsOf(work));
}

/** `[count, dimension]`, uniform in -1 to 1. */
function randomVectors(count: number, dimension: number, seed: number): Float32Array {
  const random = new Pcg64(seed);
  // A long pseudo-random sequence would take longer than what is measured: a short one, shifted, is as good here.
  const period = 65_537;
  const values = Float32Array.from({ length: period }, () => random.nextUint32() / 2 ** 31 - 1);
  return Float32Array.from({ length: count * dimension }, (_, i) => values[(i * 7 + (i >>> 16)) % period]);
}

/** How long building would take, in seconds. */
export interface BuildEstimate {
  /** Training both quantizers, reading the keys not counted. */
  readonly train: number;
  /** Adding all keys. */
  readonly add: number;
}

/**
 * How long building an index would take.
 *
 * @param rates - measured for its shape
 * @param shape - centroids and bits of a code
 * @param rows - keys to add
 * @param trainedKeys - keys drawn for the training; Faiss uses no more of them than its quantizers need
 */
export function estimateBuild(
  rates: IndexRates,
  { centroids, bitsPerIndex }: Pick<ProbedIndex, 'centroids' | 'bitsPerIndex'>,
  rows: number,
  trainedKeys = rows,
): BuildEstimate {
  const plan = planIvfPqTraining(Math.min(trainedKeys, rows), centroids, bitsPerIndex);
  const coarse = Math.min(plan.coarseRows, 256 * centroids) * centroids * rates.trainCentroid;
  const product = Math.min(plan.productRows, 256 * 2 ** bitsPerIndex) * rates.trainCode;
  return { train: coarse + product, add: rows * rates.add };
}

/**
 * How many times as many codes a search looks at as it would with lists of equal size: real keys fall unevenly. Measured
 * on the index of 367,366 hidden states with 512 lists (`knn-lm index-stats` prints it): 1.26.
 */
const IMBALANCE = 1.3;

/**
 * How long one search of a full index would take, in seconds a query.
 *
 * @param rates - measured for its shape
 * @param shape - centroids
 * @param rows - keys in it
 * @param nprobe - lists visited
 */
export function estimateSearch(
  rates: IndexRates,
  { centroids }: Pick<ProbedIndex, 'centroids'>,
  rows: number,
  nprobe: number,
): number {
  const lists = Math.min(nprobe, centroids);
  const codes = Math.min(rows, (rows * lists * IMBALANCE) / centroids);
  return rates.assign + lists * rates.list + codes * rates.code + keptOf(codes, rates.k) * rates.keep;
}

/**
 * Size of the file of an `IndexIVFPQ`, in bytes: codes and ids, centroids, codebooks; also about the memory it takes.
 *
 * @param shape - its shape
 * @param rows - keys in it
 */
export function estimateIndexBytes(shape: Omit<ProbedIndex, 'k' | 'threads'>, rows: number): number {
  const { dimension, centroids, codeSize, bitsPerIndex } = shape;
  const codeBytes = Math.ceil((codeSize * bitsPerIndex) / 8);
  return rows * (codeBytes + 8) + centroids * (dimension * 4 + 8) + 2 ** bitsPerIndex * dimension * 4;
}
