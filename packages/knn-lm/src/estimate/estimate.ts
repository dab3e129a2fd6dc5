import {
  estimateBuild,
  estimateIndexBytes,
  estimateSearch,
  type ExactRates,
  type IndexRates,
  type ProbedIndex,
} from '@knn-lm/index';

/** What is planned. */
export interface PlannedRun {
  /** Entries of the datastore. */
  readonly rows: number;
  /** Elements of a key. */
  readonly dimension: number;
  /** Bytes of an element on disk: 2 or 4. */
  readonly elementBytes: number;
  /** The index; an `IndexIVFPQ`, or `exact`. */
  readonly index: 'exact' | Omit<ProbedIndex, 'k' | 'threads' | 'dimension'>;
  /** Keys drawn for the training. @defaultValue all */
  readonly trainedKeys?: number | undefined;
  /** Memory of the process while the model makes keys, measured: weights, activations and all. */
  readonly generateMemory: number;
  /** The same while it scores. */
  readonly scoreMemory: number;
  /** Neighbours of a token. */
  readonly k: number;
  /** Whether distances are computed from the keys. */
  readonly recomputeDistance: boolean;
}

/** Bytes that a run needs. */
export interface RunSizes {
  /** `keys.npy` and `values.npy`. */
  readonly datastore: number;
  /** `faiss.index`. */
  readonly index: number;
  /** Disk at most: datastore, index, trained index, and the copy that an interrupted build would go on from. */
  readonly disk: number;
  /** Memory for making the datastore. */
  readonly generateMemory: number;
  /** Memory for building the index: the index, and the keys it is trained on. */
  readonly buildMemory: number;
  /** Memory for evaluating: model, index, and the neighbours of a group of tokens. */
  readonly evaluateMemory: number;
  /** Keys, which an evaluation with recomputed distances reads at random: fast only in memory. */
  readonly keys: number;
}

/** Memory of a process that builds an index, without index and keys: the demo's build peaks at 0.53 GB, with 0.15 GB of them. */
const builderBytes = 0.4e9;
/** Tokens whose neighbours are in memory at a time: two groups of at least `queriesPerSearch`, and copies. */
const tokensInMemory = 4096;

/**
 * How much disk and memory a run needs.
 *
 * @param run - what is planned
 */
export function estimateSizes(run: PlannedRun): RunSizes {
  const { rows, dimension, elementBytes, index } = run;
  const keys = rows * dimension * elementBytes;
  const datastore = keys + rows * 8;
  const indexBytes =
    index === 'exact' ? rows * dimension * 4 : estimateIndexBytes({ ...index, dimension }, rows);
  return {
    datastore,
    index: indexBytes,
    disk: datastore + 2 * indexBytes,
    generateMemory: run.generateMemory,
    buildMemory: indexBytes + trainingBytes(run) + builderBytes,
    evaluateMemory: run.scoreMemory + indexBytes + tokensInMemory * run.k * 12,
    keys,
  };
}

/** Faiss keeps 256 keys a centroid, or a value of a code, in single precision. */
function trainingBytes({ rows, dimension, index, trainedKeys = rows }: PlannedRun): number {
  if (index === 'exact') return 0;
  const most = 256 * Math.max(index.centroids, 2 ** index.bitsPerIndex);
  return Math.min(rows, trainedKeys, most) * dimension * 4;
}

/** What was measured; see the functions named `measure…`. Seconds. */
export interface MeasuredRates {
  /** The model over the text of the datastore. */
  readonly generateSeconds: number;
  /** Writing an entry. */
  readonly writeRow: number;
  /** The model over the evaluated text. */
  readonly evaluateSeconds: number;
  /** The index. */
  readonly index: IndexRates | ExactRates;
  /** Distances of a query to its neighbours from keys in memory. */
  readonly distances: number;
  /** The probability of a token from its neighbours. */
  readonly mix: number;
}

/** Seconds of each stage. */
export interface StageSeconds {
  /** Making the datastore. */
  readonly generate: number;
  /** Training the index. */
  readonly train: number;
  /** Adding the keys. */
  readonly add: number;
  /** Evaluating, with keys in memory. */
  readonly evaluate: number;
}

/**
 * How long each stage takes, from measured rates.
 *
 * @param run - what is planned
 * @param rates - measured on this machine
 * @param evaluation - tokens to evaluate, and lists that a search visits
 */
export function estimateStages(
  run: PlannedRun,
  rates: MeasuredRates,
  evaluation: { readonly tokens: number; readonly nprobe: number },
): StageSeconds {
  const generate = rates.generateSeconds + run.rows * rates.writeRow;
  const { train, add, search } = indexSeconds(run, rates.index, evaluation.nprobe);
  const token = search + (run.recomputeDistance ? rates.distances : 0) + rates.mix;
  return { generate, train, add, evaluate: rates.evaluateSeconds + evaluation.tokens * token };
}

function indexSeconds(
  { rows, index, trainedKeys }: PlannedRun,
  rates: IndexRates | ExactRates,
  nprobe: number,
) {
  if ('compare' in rates) return { train: 0, add: rows * rates.add, search: rows * rates.compare };
  if (index === 'exact') throw new TypeError('an exact index has rates of its own');
  return {
    ...estimateBuild(rates, index, rows, trainedKeys),
    search: estimateSearch(rates, index, rows, nprobe),
  };
}
