import type { Logger } from '@knn-lm/common';
import { isFactoryString } from './build-options.js';
import type { EngineIndex, EngineName } from './engine.js';
import { KnnIndexError } from './errors.js';
import { bytesOf } from './index-files.js';
import type { IndexRecord } from './index-record.js';
import { openEngine } from './open-engine.js';
import { openIndexFiles, type OpenedIndex } from './open-index.js';

/** How an index is opened. */
export interface OpenOptions {
  /** Lists that a search looks through. @default what the file says */
  readonly nprobe?: number | undefined;
  /** Threads of a search. @default all cores */
  readonly threads?: number | undefined;
  /** Which Faiss. @default native */
  readonly engine?: EngineName | undefined;
  /** Leaves the lists on disk, mapped into memory: for an index larger than memory. @default false */
  readonly map?: boolean | undefined;
  /**
   * Reads an index of a kind that cannot be checked, and that was not built here or has changed since. A damaged one may
   * end the process, and a file made for the purpose may do worse. @default false
   */
  readonly trust?: boolean | undefined;
  /** Hears when another engine is used than asked for. */
  readonly logger?: Logger | undefined;
}

/** How one search is run. */
export interface SearchOptions {
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
  /** Lists that this search looks through. @default what the index was opened with */
  readonly nprobe?: number | undefined;
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
  /** The file; of shards the first. */
  readonly path: string;
  /** All files: those of the shards, and of lists in files of their own. */
  readonly files: readonly string[];
  /** Which Faiss searches it. */
  readonly engine: EngineName;
  /** What `--index-type` was when it was built: `IndexIVFPQ`, or a factory string; `undefined` if not built here. */
  readonly type: string | undefined;
  /** What was recorded when it was built; of shards, of the first. */
  readonly record: IndexRecord | undefined;
  readonly #index: EngineIndex;
  readonly #threads: number;

  private constructor({ index, files, records }: OpenedIndex, engine: EngineName, threads: number) {
    this.path = files[0];
    this.files = files;
    this.record = records[0];
    this.type = records[0]?.type;
    this.engine = engine;
    this.#index = index;
    this.#threads = threads;
  }

  /**
   * Opens an index file, of ours or of Python's.
   *
   * Of `IndexFlat`, `IndexIVFFlat` and `IndexIVFPQ` every size is checked before Faiss sees the file. Other kinds are
   * read if they are what {@link buildIndex} wrote, by the checksum in the record beside the file; with
   * {@link OpenOptions.trust} in any case.
   *
   * An index that was built in shards is searched as one: the nearest of all shards, those with smaller ids first where
   * distances are equal.
   *
   * @param path - the file, or those of the shards; where a file is missing, all shards of an index in its folder
   * @param options - see {@link OpenOptions}
   * @throws `FaissError` `FAISS_INDEX_FORMAT` when it is empty, cut short or no index; `FAISS_LISTS_FILE` when the file of
   * its lists is missing or cut short; `FAISS_ADDON_MISSING`
   * @throws `KnnLmError` `FILE_…` when it cannot be opened
   * @throws {@link KnnIndexError} `KNN_INDEX_NOT_TRAINED`, `KNN_INDEX_EMPTY` when nothing can be found in it;
   * `KNN_INDEX_UNTRUSTED`; `KNN_INDEX_SHARDS` when shards do not belong together; `KNN_INDEX_DIMENSION`;
   * `KNN_INDEX_ENGINE_MISSING`
   */
  static async open(path: string | readonly string[], options: OpenOptions = {}): Promise<KnnIndex> {
    const engine = await openEngine(options.engine, options.logger);
    const { map = false, trust = false, threads = 0 } = options;
    const opened = await openIndexFiles(path, engine, { map, trust });
    try {
      if (options.nprobe !== undefined) opened.index.nprobe = checkNprobe(options.nprobe);
    } catch (error) {
      opened.index.close();
      throw error;
    }
    return new KnnIndex(opened, engine.name, threads);
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

  /** Coarse centroids of an inverted file, each with a list. */
  get centroids(): number | undefined {
    return this.#index.centroids;
  }

  /** What it is, in one line. */
  get description(): string {
    const { type } = this;
    const { description } = this.#index;
    return type === undefined || !isFactoryString(type) ? description : `${type}: ${description}`;
  }

  /**
   * Finds the nearest keys of each query, off the event loop. Searches take turns.
   *
   * @param queries - `[n, dimension]`
   * @param k - neighbours a query; where there are fewer, the rest is missing
   * @param options - see {@link SearchOptions}
   * @throws {@link KnnIndexError} `KNN_INDEX_DIMENSION`, `KNN_INDEX_ARGUMENT`; `FaissError` `FAISS_TOO_MANY_RESULTS`
   */
  async search(queries: Float32Array, k: number, options: SearchOptions = {}): Promise<Neighbors> {
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
    if (!Number.isInteger(k) || k < 1 || k >= 2 ** 31) {
      throw new KnnIndexError('KNN_INDEX_ARGUMENT', `the number of neighbours is ${k}`, {
        hint: 'Give a whole number of 1 or more.',
      });
    }
    const { nprobe } = this.#index;
    if (options.nprobe !== undefined) this.#index.nprobe = checkNprobe(options.nprobe);
    // The engine takes nprobe at the moment of the call, and throws by rejecting.
    const searching = this.#index.search(queries, k, { threads: this.#threads, signal: options.signal });
    this.#index.nprobe = nprobe;
    return searching;
  }

  /** How many keys each inverted list holds; `undefined` for an exact index. */
  async listSizes(): Promise<Float64Array | undefined> {
    return this.#index.listSizes();
  }

  /** Memory that the index takes, in bytes, an estimate; lists that are mapped do not count. */
  get memoryBytes(): number | undefined {
    return this.#index.memoryBytes;
  }

  /** Bytes of all its files. */
  get fileBytes(): number {
    return this.files.reduce((sum, file) => sum + bytesOf(file), 0);
  }

  /** Gives the memory back. */
  close(): void {
    this.#index.close();
  }
}

function checkNprobe(nprobe: number): number {
  if (Number.isInteger(nprobe) && nprobe >= 1 && nprobe < 2 ** 31) return nprobe;
  throw new KnnIndexError('KNN_INDEX_ARGUMENT', `nprobe is ${nprobe}`, {
    hint: 'Give a whole number of 1 or more.',
  });
}
