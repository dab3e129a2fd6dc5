import { statSync } from 'node:fs';
import type { Logger } from '@knn-lm/common';
import { readIndexFileHeader } from '@knn-lm/faiss';
import { isFactoryString } from './build-options.js';
import type { EngineIndex, EngineName } from './engine.js';
import { KnnIndexError } from './errors.js';
import { matchesDigest, readIndexRecord } from './index-record.js';
import { openEngine } from './open-engine.js';

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
  /** The file. */
  readonly path: string;
  /** Which Faiss searches it. */
  readonly engine: EngineName;
  /** What `--index-type` was when it was built: `IndexIVFPQ`, or a factory string; `undefined` if not built here. */
  readonly type: string | undefined;
  readonly #index: EngineIndex;
  readonly #threads: number;

  private constructor(path: string, engine: EngineName, index: EngineIndex, threads: number) {
    this.path = path;
    // Python's tool may have written another index since.
    const record = readIndexRecord(path);
    this.type = record !== undefined && record.bytes === statSync(path).size ? record.type : undefined;
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
   * @param path - the file
   * @param options - see {@link OpenOptions}
   * @throws `FaissError` `FAISS_INDEX_FORMAT` when it is empty, cut short or no index; `FAISS_ADDON_MISSING`
   * @throws `KnnLmError` `FILE_…` when it cannot be opened
   * @throws {@link KnnIndexError} `KNN_INDEX_NOT_TRAINED`, `KNN_INDEX_EMPTY` when nothing can be found in it;
   * `KNN_INDEX_UNTRUSTED`; `KNN_INDEX_ENGINE_MISSING`
   */
  static async open(path: string, options: OpenOptions = {}): Promise<KnnIndex> {
    const engine = await openEngine(options.engine, options.logger);
    const trusted = await trustworthy(path, options.trust ?? false);
    const index = await engine.read(path, { map: options.map ?? false, trusted });
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

  /** Gives the memory back. */
  close(): void {
    this.#index.close();
  }
}

/** Whether Faiss may be given an index of a kind that cannot be checked first. */
async function trustworthy(path: string, trust: boolean): Promise<boolean> {
  const header = readIndexFileHeader(path);
  if (header.type !== 'other' || trust) return true;
  const record = readIndexRecord(path);
  if (record !== undefined && (await matchesDigest(path, record))) return true;
  const reason =
    record === undefined ? 'nothing says that it was built here' : 'it has changed since it was built';
  throw new KnnIndexError(
    'KNN_INDEX_UNTRUSTED',
    `${path}: an index of kind ${header.fourcc} cannot be checked before it is read, and ${reason}`,
    {
      hint: 'Build it again with build_faiss_index --overwrite, or give --trust-index if you know that it is sound.',
      details: { path, found: header.fourcc },
    },
  );
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
