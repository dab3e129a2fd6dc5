import { rename, rm } from 'node:fs/promises';
import { CancelledError, describeFileError, temporaryName, throwIfAborted } from '@knn-lm/common';
import {
  checkIds,
  checkFactoryString,
  checkInteger,
  checkIvfPq,
  checkVectors,
  MAX_DIMENSION,
  MAX_RESULTS,
  type VectorArray,
} from './arguments.js';
import { describeNativeError, FaissError } from './errors.js';
import { checkIndexFile } from './index-file.js';
import type { CallOptions, IvfPqOptions, ReadOptions, SearchResult } from './index-options.js';
import { loadAddon, type NativeControl, type NativeDescription, type NativeIndex } from './native.js';
import { trainNative, type TrainOptions } from './train.js';
import type { TrainingPlan } from './training-plan.js';
import { TrainingRows } from './training-rows.js';
import { Turns } from './turns.js';

/**
 * One Faiss index.
 *
 * Every method that works runs on another thread; calls on one index take turns, in the order they were made. Inputs
 * are copied when a method is called, so an array may be used again at once.
 *
 * @example
 * ```ts
 * import { FaissIndex } from '@knn-lm/faiss';
 *
 * const index = FaissIndex.flatL2(2);
 * await index.add(Float32Array.of(0, 0, 3, 4));
 * const { ids, distances } = await index.search(Float32Array.of(3, 3), 1);
 * // ids[0] === 1, distances[0] === 1
 * index.close();
 * ```
 */
export class FaissIndex {
  readonly #native: NativeIndex;
  readonly #about: NativeDescription;
  readonly #turns = new Turns();
  #nprobe: number;
  #closed = false;

  private constructor(native: NativeIndex) {
    this.#native = native;
    this.#about = native.describe();
    this.#nprobe = native.nprobe;
  }

  /**
   * An exact index (`IndexFlatL2`) that keeps whole vectors.
   *
   * @param dimension - dimensions of a vector
   * @throws {@link FaissError} `FAISS_ARGUMENT`, `FAISS_ADDON_MISSING`
   */
  static flatL2(dimension: number): FaissIndex {
    checkInteger('the dimension', dimension, 1, MAX_DIMENSION);
    return create(() => new (loadAddon().Index)('flatL2', dimension));
  }

  /**
   * An inverted file of product-quantized residuals over an exact coarse quantizer, without polysemous training: what
   * Python's `faiss.IndexIVFPQ(faiss.IndexFlatL2(d), d, centroids, codeSize, bits)` makes.
   *
   * @throws {@link FaissError} `FAISS_ARGUMENT`, `FAISS_ADDON_MISSING`
   */
  static ivfPq({ dimension, centroids, codeSize, bitsPerIndex = 8 }: IvfPqOptions): FaissIndex {
    checkIvfPq(dimension, centroids, codeSize, bitsPerIndex);
    return create(() => new (loadAddon().Index)('ivfPq', dimension, centroids, codeSize, bitsPerIndex));
  }

  /**
   * An index from one of Faiss's factory strings, such as `IVF256,Flat`.
   *
   * @param dimension - dimensions of a vector
   * @param description - the factory string; `PQ64` turns on the slow polysemous training, `PQ64np` does not
   * @param metric - squared L2 distance or inner product
   * @throws {@link FaissError} `FAISS_ARGUMENT`; `FAISS_FAILED` with Faiss's message when it does not know the string
   */
  static factory(dimension: number, description: string, metric: 'l2' | 'innerProduct' = 'l2'): FaissIndex {
    checkInteger('the dimension', dimension, 1, MAX_DIMENSION);
    checkFactoryString(description);
    return create(
      () => new (loadAddon().Index)('factory', dimension, description, metric === 'innerProduct'),
    );
  }

  /**
   * Reads an index file, of ours or of Python's.
   *
   * While lists are mapped, the file must not be shortened: its size is checked when it is opened and before each search,
   * but a search that meets the missing part ends the process. Replacing the file by renaming is safe.
   *
   * @param path - the file
   * @param options - see {@link ReadOptions}
   * @throws {@link FaissError} `FAISS_INDEX_FORMAT` for a file that is empty, cut short or no index; `FAISS_LISTS_FILE` when
   * its lists are in another file that is missing or cut short; `FAISS_INDEX_KIND` for one that has to be trusted; `FILE_…`
   * when it cannot be opened; `FAISS_ADDON_MISSING`
   */
  static async read(path: string, options: ReadOptions = {}): Promise<FaissIndex> {
    const elsewhere = checkIndexFile(path, options.trusted ?? false);
    const addon = loadAddon();
    try {
      return new FaissIndex(new addon.Index(await addon.read(path, elsewhere || (options.map ?? false))));
    } catch (cause) {
      throw describeNativeError(cause, 'read the index', path);
    }
  }

  /** @internal */
  static fromNative(native: NativeIndex): FaissIndex {
    return new FaissIndex(native);
  }

  /** Dimensions of a vector. */
  get dimension(): number {
    return this.#about.dimension;
  }

  /** Vectors in the index. */
  get size(): number {
    return this.#native.size;
  }

  /** Whether vectors can be added. */
  get isTrained(): boolean {
    return this.#native.trained;
  }

  /** Coarse centroids of an inverted file. */
  get centroids(): number | undefined {
    return this.#about.centroids;
  }

  /** Codes a vector of an IndexIVFPQ. */
  get codeSize(): number | undefined {
    return this.#about.codeSize;
  }

  /** Bits of one code of an IndexIVFPQ. */
  get bitsPerIndex(): number | undefined {
    return this.#about.bitsPerIndex;
  }

  /**
   * Whether its files can be joined (`mergeIndexFiles`): an inverted file, behind transforms or not, whose lists can be
   * mapped; fast scan's cannot.
   */
  get isJoinable(): boolean {
    return this.#about.joinable;
  }

  /** Inverted lists that a search looks through; `undefined` for other kinds of index. Saved with the index. */
  get nprobe(): number | undefined {
    return this.#about.centroids === undefined ? undefined : this.#nprobe;
  }

  /** Counts for the calls made after it. More than there are lists means all of them. */
  set nprobe(value: number) {
    if (this.#about.centroids === undefined) {
      throw new FaissError('FAISS_ARGUMENT', 'this index has no nprobe', {
        hint: 'Only an inverted file (IVF…) has lists to probe.',
      });
    }
    checkInteger('nprobe', value, 1, 2 ** 31 - 1);
    this.#nprobe = value;
  }

  /** Memory that its vectors, codes, ids and tables take, in bytes; lists that are mapped do not count. An estimate. */
  get memoryBytes(): number {
    return this.#native.memoryBytes;
  }

  /** What it is, in one line. */
  get description(): string {
    const { type, dimension, centroids, codeSize, bitsPerIndex } = this.#about;
    const name = type === 'other' ? (centroids === undefined ? 'Faiss index' : 'IndexIVF') : type;
    return [
      `${name}: ${this.size} vectors of ${dimension} dimensions`,
      ...(centroids === undefined ? [] : [`${centroids} centroids`]),
      ...(codeSize === undefined ? [] : [`${codeSize} codes of ${bitsPerIndex} bits`]),
      ...(centroids === undefined ? [] : [`nprobe ${this.#nprobe}`]),
    ].join(', ');
  }

  /**
   * Trains the index on all the vectors given.
   *
   * @param vectors - `[n, dimension]`
   * @throws {@link FaissError} `FAISS_TOO_FEW_VECTORS`, `FAISS_NOT_EMPTY`, `FAISS_NOT_FINITE`
   * @throws `CancelledError` when the signal fires; the index is untrained then
   */
  async train(vectors: VectorArray, options: TrainOptions = {}): Promise<void> {
    const count = checkVectors('training vectors', vectors, this.dimension);
    this.#checkOpen();
    const rows = new TrainingRows(this.dimension, Math.max(count, 1));
    try {
      rows.set(
        vectors,
        Float64Array.from({ length: count }, (_, i) => i),
      );
      await this.trainOn(
        rows,
        { total: count, rows: count, coarseRows: count, productRows: count, permuted: false },
        options,
      );
    } finally {
      rows.close();
    }
  }

  /**
   * Trains the index on the rows of a plan; the result is that of {@link FaissIndex.train} with all of the plan's
   * vectors.
   *
   * @param rows - the rows that the plan needs, all of them set
   * @param plan - from `planIvfPqTraining`
   * @throws as {@link FaissIndex.train} does
   */
  async trainOn(rows: TrainingRows, plan: TrainingPlan, options: TrainOptions = {}): Promise<void> {
    await this.#run('train the index', options, (control, threads) =>
      trainNative(this.#native, this.#about, rows, plan, { ...options, control, threads }),
    );
  }

  /**
   * Adds vectors; their ids count on from the index's size.
   *
   * @param vectors - `[n, dimension]`; all of them are checked before the first is added
   * @throws {@link FaissError} `FAISS_NOT_TRAINED`; `FAISS_NOT_FINITE` and `FAISS_TOO_LARGE` with the row
   * @throws `CancelledError`; whole batches of 256 may have been added then
   */
  async add(vectors: VectorArray, options: CallOptions = {}): Promise<void> {
    await this.#add(vectors, undefined, options);
  }

  /**
   * Adds vectors with ids of the caller's. Not every kind of index takes them: an inverted file does.
   *
   * @param vectors - `[n, dimension]`
   * @param ids - `[n]` whole numbers from 0 to 2^53 - 1
   * @throws as {@link FaissIndex.add} does; `FAISS_FAILED` where the index takes no ids
   */
  async addWithIds(vectors: VectorArray, ids: Float64Array, options: CallOptions = {}): Promise<void> {
    await this.#add(vectors, ids, options);
  }

  /**
   * Finds the nearest neighbours of each query.
   *
   * @param queries - `[n, dimension]`
   * @param k - neighbours a query
   * @throws {@link FaissError} `FAISS_NOT_TRAINED`, `FAISS_EMPTY`, `FAISS_DIMENSION`, `FAISS_TOO_MANY_RESULTS`
   * @throws `CancelledError`
   */
  async search(queries: VectorArray, k: number, options: CallOptions = {}): Promise<SearchResult> {
    const rows = checkVectors('queries', queries, this.dimension);
    checkInteger('the number of neighbours', k, 1, 2 ** 31 - 1);
    if (rows * k > MAX_RESULTS) {
      throw new FaissError(
        'FAISS_TOO_MANY_RESULTS',
        `${rows} queries with ${k} neighbours each in one call`,
        {
          hint: `Search for at most ${MAX_RESULTS} neighbours in one call; give the queries in parts.`,
          details: { rows, k },
        },
      );
    }
    const copy = queries.slice();
    return this.#run('search the index', options, (control, threads) =>
      this.#native.search(copy, k, threads, control),
    );
  }

  /**
   * How many vectors each inverted list holds.
   *
   * @returns `[centroids]`; `undefined` for an index without lists
   */
  async listSizes(): Promise<Float64Array | undefined> {
    return this.#run('look at the lists', {}, (control, threads) => this.#native.listSizes(threads, control));
  }

  /** Removes all vectors; the index stays trained. */
  async reset(): Promise<void> {
    await this.#run('reset the index', {}, (control, threads) => this.#native.reset(threads, control));
  }

  /**
   * Writes the index so that Python's Faiss can read it: under a temporary name, then renamed.
   *
   * @param path - final name; a file of this name is replaced
   * @throws `FILE_…` when it cannot be written
   * @throws `CancelledError`; nothing is left then
   */
  async write(path: string, options: CallOptions = {}): Promise<void> {
    const temporary = temporaryName(path);
    try {
      await this.#run(
        'write the index',
        options,
        (control, threads) => this.#native.write(temporary, threads, control),
        path,
      );
      await rename(temporary, path);
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw describeFileError(cause, path, 'write the index');
    }
  }

  /** Gives the memory back, at the latest when the call in progress has ended; calls after it fail. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#native.close();
  }

  async #add(vectors: VectorArray, ids: Float64Array | undefined, options: CallOptions): Promise<void> {
    const rows = checkVectors('vectors', vectors, this.dimension);
    if (ids !== undefined) checkIds(ids, rows);
    const copy = vectors.slice();
    const copiedIds = ids?.slice();
    await this.#run('add vectors', options, (control, threads) =>
      this.#native.add(copy, copiedIds, threads, control),
    );
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw new FaissError('FAISS_CLOSED', 'the index is closed', { hint: 'Open it again.' });
    }
  }

  /** One call: waits for its turn, with the nprobe of the moment it was made, and can be stopped all the time. */
  async #run<T>(
    action: string,
    { signal, threads = 0 }: CallOptions,
    work: (control: NativeControl, threads: number) => Promise<T>,
    path?: string,
  ): Promise<T> {
    this.#checkOpen();
    checkInteger('the number of threads', threads, 0, 1024);
    throwIfAborted(signal, `stopped before it began to ${action}`);
    const nprobe = this.#nprobe;
    return this.#turns.take(async () => {
      this.#checkOpen();
      throwIfAborted(signal, `stopped before it began to ${action}`);
      const control = new (loadAddon().Control)();
      const cancel = (): void => control.cancel();
      signal?.addEventListener('abort', cancel);
      try {
        if (this.#about.centroids !== undefined) this.#native.nprobe = nprobe;
        return await work(control, threads);
      } catch (cause) {
        const error = describeNativeError(cause, action, path);
        throw error instanceof CancelledError && signal?.aborted
          ? new CancelledError(error.message, { cause: signal.reason })
          : error;
      } finally {
        signal?.removeEventListener('abort', cancel);
      }
    });
  }
}

function create(make: () => NativeIndex): FaissIndex {
  try {
    return FaissIndex.fromNative(make());
  } catch (cause) {
    throw describeNativeError(cause, 'make the index');
  }
}
