import type { Logger } from '@knn-lm/common';
import type { EngineIndex, EngineName } from './engine.js';
import { KnnIndexError } from './errors.js';
import { openEngine } from './open-engine.js';

/** How an index is opened. */
export interface OpenOptions {
  /** Lists that a search looks through. @defaultValue what the file says */
  readonly nprobe?: number | undefined;
  /** Threads of a search. @defaultValue all cores */
  readonly threads?: number | undefined;
  /** Which Faiss. @defaultValue native */
  readonly engine?: EngineName | undefined;
  /** Leaves the lists on disk, mapped into memory: for an index larger than memory. @defaultValue false */
  readonly map?: boolean | undefined;
  /** Hears when another engine is used than asked for. */
  readonly logger?: Logger | undefined;
}

/** Neighbours of a batch of queries, nearest first. */
export interface Neighbors {
  /** `[n, k]` squared L2 distances; 3.4e38 where a neighbour is missing. */
  readonly distances: Float32Array;
  /** `[n, k]` rows of the datastore; -1 where a neighbour is missing. */
  readonly ids: Float64Array;
}

/**
 * The finished index of a datastore, open for searching.
 *
 * @example
 * ```ts
 * const index = await KnnIndex.open('datastore/faiss.index', { nprobe: 32 });
 * const { distances, ids } = await index.search(queries, 1024); // queries: [n, index.dimension]
 * index.close();
 * ```
 */
export class KnnIndex {
  /** The file. */
  readonly path: string;
  /** Which Faiss searches it. */
  readonly engine: EngineName;
  readonly #index: EngineIndex;
  readonly #threads: number;

  private constructor(path: string, engine: EngineName, index: EngineIndex, threads: number) {
    this.path = path;
    this.engine = engine;
    this.#index = index;
    this.#threads = threads;
  }

  /**
   * Opens an index file, of ours or of Python's.
   *
   * @param path - the file
   * @param options - see {@link OpenOptions}
   * @throws `FaissError` `FAISS_INDEX_FORMAT` when it is empty, cut short or no index; `FAISS_ADDON_MISSING`
   * @throws `KnnLmError` `FILE_…` when it cannot be opened
   * @throws {@link KnnIndexError} `KNN_INDEX_NOT_TRAINED`, `KNN_INDEX_EMPTY` when nothing can be found in it;
   * `KNN_INDEX_ENGINE_MISSING`
   */
  static async open(path: string, options: OpenOptions = {}): Promise<KnnIndex> {
    const engine = await openEngine(options.engine, options.logger);
    const index = await engine.read(path, { map: options.map ?? false });
    try {
      checkSearchable(path, index);
      if (options.nprobe !== undefined) index.nprobe = checkNprobe(options.nprobe);
    } catch (error) {
      index.close();
      throw error;
    }
    return new KnnIndex(path, engine.name, index, options.threads ?? 0);
  }

  /** Entries in the index. */
  get size(): number {
    return this.#index.size;
  }

  /** Dimensions of a key. */
  get dimension(): number {
    return this.#index.dimension;
  }

  /** Lists that a search looks through; `undefined` for an exact index. */
  get nprobe(): number | undefined {
    return this.#index.nprobe;
  }

  /** What it is, in one line. */
  get description(): string {
    return this.#index.description;
  }

  /**
   * Finds the nearest keys of each query, off the event loop. Searches take turns.
   *
   * @param queries - `[n, dimension]`
   * @param k - neighbours a query; where there are fewer, the rest is missing
   * @param options - `signal` stops the search
   * @throws {@link KnnIndexError} `KNN_INDEX_DIMENSION`; `FaissError` `FAISS_ARGUMENT`, `FAISS_TOO_MANY_RESULTS`
   */
  async search(
    queries: Float32Array,
    k: number,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Neighbors> {
    if (queries.length % this.dimension !== 0) {
      throw new KnnIndexError(
        'KNN_INDEX_DIMENSION',
        `${queries.length} numbers are not a whole number of queries of ${this.dimension} dimensions`,
        {
          hint: 'The index was built for keys of another dimension.',
          details: { dimension: this.dimension },
        },
      );
    }
    return this.#index.search(queries, k, { threads: this.#threads, signal: options.signal });
  }

  /** Gives the memory back. */
  close(): void {
    this.#index.close();
  }
}

function checkSearchable(path: string, index: EngineIndex): void {
  if (!index.isTrained) {
    throw new KnnIndexError('KNN_INDEX_NOT_TRAINED', `${path}: the index is not trained`, {
      hint: 'Build the index again.',
      details: { path },
    });
  }
  if (index.size > 0) return;
  throw new KnnIndexError('KNN_INDEX_EMPTY', `${path}: the index holds no keys`, {
    hint: 'This is a trained index before the keys are added; open the finished one, faiss.index.',
    details: { path },
  });
}

function checkNprobe(nprobe: number): number {
  if (Number.isInteger(nprobe) && nprobe >= 1 && nprobe < 2 ** 31) return nprobe;
  throw new KnnIndexError('KNN_INDEX_ARGUMENT', `nprobe is ${nprobe}`, {
    hint: 'Give a whole number of 1 or more.',
  });
}
