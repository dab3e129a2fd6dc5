import { availableParallelism } from 'node:os';
import { CancelledError, throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { badArgument, checkDistanceShapes, checkIds, checkRange } from './arguments.js';
import type { DistanceOptions, Engine } from './engine.js';
import { DatastoreError, describeReadError } from './error.js';
import { keyBytes, type KeysDtype } from './layout.js';
import { contentFingerprint, prefixFingerprint } from './fingerprint.js';
import type { Manifest } from './manifest.js';
import type { KeyTransform } from './key-transform.js';
import { quickVerify, type QuickReport, type QuickVerifyOptions } from './quick-verify.js';
import { StoredKeys } from './stored-keys.js';
import { textsOf, type PlacedText } from './texts.js';
import { openDatastore, type DatastoreOpenOptions, type OpenedDatastore } from './open.js';

/** What one step of moving to memory brings in: progress about ten times a second from a fast disk. */
const populateBytes = 64 * 2 ** 20;

/** How {@link Datastore.squaredDistances} computes. */
export interface SquaredDistanceOptions {
  /** What an id of -1 means: the last row of the datastore, as in the Python system, or a neighbour infinitely far. */
  readonly missing?: 'last-row' | 'infinity';
  /** Threads of the native engine. @default all cores */
  readonly threads?: number;
  /** One of {@link Datastore.kernels}. @default the first, which is the fastest */
  readonly kernel?: string;
  /**
   * How the native engine reaches the keys. `read`: each row that the queries need is read once, in the order of the
   * rows, those on the disk many at a time; no memory stays taken. `mapped`: in the order of the queries, from a mapping.
   *
   * @default mapped after {@link Datastore.moveToMemory}, else read
   */
  readonly access?: 'mapped' | 'read';
}

/**
 * A finished datastore, open for reading: `rows` keys of `dimension` numbers and the token id that follows each.
 *
 * The keys stay on disk; with the native engine they are mapped into memory that JavaScript never sees. Nothing here
 * grows with the datastore but what the operating system caches. Sizes are checked when it is opened and again before
 * each use; still, a file that is cut while a call reads its mapping ends the process (SIGBUS): do not truncate the
 * arrays of a datastore in use. Replacing them by renaming, as the writer does, is safe.
 *
 * @example
 * ```ts
 * const datastore = await Datastore.open('datastore');
 * const queries = datastore.readKeys(0, 1); // [1, dimension]
 * const ids = new Float64Array([0, 1]);
 * const distances = await datastore.squaredDistances(queries, ids, 2); // distances[0] is 0
 * const tokens = datastore.gatherValues(ids);
 * datastore.close();
 * ```
 */
export class Datastore {
  /** The folder as given. */
  readonly folder: string;
  /** Number of entries. */
  readonly rows: number;
  /** Elements of a key. */
  readonly dimension: number;
  /** Precision of the keys on disk. */
  readonly dtype: KeysDtype;
  /** The manifest; `undefined` for a datastore made by the Python tools. */
  readonly manifest: Manifest | undefined;
  /** Whether `keys.npy` is open. */
  readonly hasKeys: boolean;
  /** The map that the keys went through (reduceDimensions), which queries have to go through too. */
  readonly transform: KeyTransform | undefined;
  readonly #parts: OpenedDatastore['parts'];
  readonly #engine: Engine;
  #inMemory = false;
  #stored: StoredKeys | undefined;
  #closed = false;

  private constructor(opened: OpenedDatastore) {
    this.folder = opened.folder;
    this.rows = opened.rows;
    this.dimension = opened.dimension;
    this.dtype = opened.dtype;
    this.manifest = opened.manifest;
    this.hasKeys = opened.hasKeys;
    this.transform = opened.transform;
    this.#parts = opened.parts;
    this.#engine = opened.engine;
  }

  /**
   * Opens a finished datastore. With a manifest nothing need be known about it, and what is given is checked; without
   * one, `rows`, `dimension` and `dtype` are required, and checked against the sizes of the files.
   *
   * @param folder - holds `keys.npy`, `values.npy` and perhaps `datastore.msgpack`
   * @param options - see {@link DatastoreOpenOptions}
   * @throws {@link DatastoreError} `DATASTORE_NOT_FOUND`, `DATASTORE_UNFINISHED`, `DATASTORE_REPLACING`,
   * `DATASTORE_OPTION_MISMATCH`, `DATASTORE_OPTIONS_NEEDED`, `DATASTORE_SIZE_MISMATCH`, `DATASTORE_BAD_SHAPE`,
   * `DATASTORE_MANIFEST_DAMAGED`, `DATASTORE_TRANSFORM_MISMATCH`, `DATASTORE_BAD_TRANSFORM`, `DATASTORE_NO_ADDON`, `DATASTORE_FILE_…`
   */
  static async open(folder: string, options: DatastoreOpenOptions = {}): Promise<Datastore> {
    return new Datastore(await openDatastore(folder, options));
  }

  /** `native`: the C++ addon over a memory mapping; `portable`: TypeScript, where the addon cannot be loaded. */
  get engine(): 'native' | 'portable' {
    return this.#engine.name;
  }

  /** Distance kernels that this machine can run, fastest first: of `avx512`, `avx2`, `generic`, or `typescript`. */
  get kernels(): readonly string[] {
    return this.#engine.kernels;
  }

  /** One checksum for all content: equal datastores have equal fingerprints. `undefined` without a manifest. */
  get fingerprint(): string | undefined {
    return this.manifest === undefined ? undefined : contentFingerprint(this.manifest);
  }

  /**
   * The {@link Datastore.fingerprint} that the datastore had when it ended after its first `rows` rows, before a text was
   * appended or parts were added: an index over those rows is recognised by it.
   *
   * @param rows - at most those of the datastore
   * @returns `undefined` without a manifest, and where the datastore did not end there
   */
  fingerprintOf(rows: number): string | undefined {
    return this.manifest === undefined ? undefined : prefixFingerprint(this.manifest, rows);
  }

  /** The texts that the rows come from, in order; one unless something was appended. `undefined` without a manifest. */
  get texts(): readonly PlacedText[] | undefined {
    return this.manifest === undefined ? undefined : textsOf(this.manifest);
  }

  /** The folders that have its arrays: its own, or those of its parts. */
  get folders(): readonly string[] {
    return this.#parts.map(({ folder }) => folder);
  }

  /**
   * Reads consecutive keys, sequentially and without keeping them mapped.
   *
   * @param start - first row
   * @param count - how many
   * @returns `[count, dimension]` row-major, widened to float32 exactly
   * @throws {@link DatastoreError} `DATASTORE_ROWS_OUT_OF_RANGE`, `DATASTORE_CLOSED`, `DATASTORE_NO_KEYS`
   */
  readKeys(start: number, count: number): Float32Array {
    checkRange(start, count, this);
    const target = new Float32Array(count * this.dimension);
    this.#use(true, (engine) => engine.readKeys(start, target));
    return target;
  }

  /**
   * Reads consecutive keys as they are on disk, for copying them.
   *
   * @param start - first row
   * @param count - how many
   * @returns `[count, dimension]` row-major: a `Uint16Array` of half-precision patterns, or a `Float32Array`
   * @throws {@link DatastoreError} as {@link Datastore.readKeys}
   */
  readStoredKeys(start: number, count: number): Uint16Array | Float32Array {
    checkRange(start, count, this);
    return this.#use(true, () => {
      this.#stored ??= new StoredKeys(
        this.#parts.map(({ keys, rows }) => ({ path: keys, rows })),
        this,
      );
      return this.#stored.read(start, count);
    });
  }

  /**
   * Reads consecutive values.
   *
   * @param start - first row
   * @param count - how many
   * @returns `[count]` token ids
   * @throws {@link DatastoreError} `DATASTORE_ROWS_OUT_OF_RANGE`, `DATASTORE_CLOSED`, `DATASTORE_BAD_VALUE`
   */
  readValues(start: number, count: number): Int32Array {
    checkRange(start, count, this);
    const target = new Int32Array(count);
    this.#checkValue(this.#use(false, (engine) => engine.readValues(start, target)));
    return target;
  }

  /**
   * Reads the values of any rows.
   *
   * @param ids - rows; -1, a missing neighbour, gives the value of the last row, as in the Python system: its weight
   * in the distribution, not its value, says that it is missing
   * @param target - `[ids.length]`; a new array when left out
   * @returns `target`
   * @throws {@link DatastoreError} `DATASTORE_ID_OUT_OF_RANGE`, `DATASTORE_CLOSED`, `DATASTORE_BAD_VALUE`,
   * `DATASTORE_BAD_ARGUMENT`
   */
  gatherValues(ids: Float64Array, target: Int32Array = new Int32Array(ids.length)): Int32Array {
    checkIds(ids, this);
    if (target.length !== ids.length) badArgument(`target has ${target.length} elements, not ${ids.length}`);
    this.#checkValue(this.#use(false, (engine) => engine.gatherValues(ids, target)));
    return target;
  }

  /**
   * Reads the keys of any rows; -1 is the last row, as in {@link Datastore.gatherValues}.
   *
   * @param ids - rows
   * @returns `[ids.length, dimension]` row-major, widened to float32 exactly
   * @throws {@link DatastoreError} `DATASTORE_ID_OUT_OF_RANGE`, `DATASTORE_CLOSED`, `DATASTORE_NO_KEYS`
   */
  gatherKeys(ids: Float64Array): Float32Array {
    checkIds(ids, this);
    const target = new Float32Array(ids.length * this.dimension);
    this.#use(true, (engine) => engine.gatherKeys(ids, target));
    return target;
  }

  /**
   * Recomputes the exact squared Euclidean distances of queries to the keys of their neighbours, off the event loop.
   *
   * Single precision throughout; every kernel and both engines give the same bits. The relative error against exact
   * arithmetic is at most `(dimension / 32 + 8) * 2^-24` (2.4e-6 at dimension 1024), as all terms are positive.
   * Memory: copies of the arguments and the result, and their order, `4 n d + 28 n k` bytes.
   *
   * @param queries - `[n, dimension]` row-major
   * @param ids - `[n, k]` rows
   * @param k - neighbours of a query
   * @param target - `[n, k]`; a new array when left out
   * @param options - meaning of -1, threads
   * @returns `target`, in the order of `ids`
   * @throws {@link DatastoreError} `DATASTORE_ID_OUT_OF_RANGE`, `DATASTORE_BAD_ARGUMENT`, `DATASTORE_CLOSED`,
   * `DATASTORE_NO_KEYS`, `DATASTORE_SIZE_MISMATCH` (the file was cut meanwhile)
   */
  async squaredDistances(
    queries: Float32Array,
    ids: Float64Array,
    k: number,
    target: Float32Array = new Float32Array(ids.length),
    options: SquaredDistanceOptions = {},
  ): Promise<Float32Array> {
    checkDistanceShapes(queries, ids, k, target, this);
    const resolved = this.#distanceOptions(options);
    await this.#use(true, async (engine) => {
      await engine
        .squaredDistances(queries, ids, k, target, resolved)
        .catch((cause: unknown) => this.#rethrow(cause));
    });
    return target;
  }

  #distanceOptions(options: SquaredDistanceOptions): DistanceOptions {
    const { missing = 'last-row', threads = availableParallelism(), kernel = this.kernels[0] } = options;
    if (!Number.isSafeInteger(threads) || threads < 1)
      badArgument(`threads is ${threads}, not a positive integer`);
    if (!this.kernels.includes(kernel)) badArgument(`kernel ${kernel} is none of ${this.kernels.join(', ')}`);
    const { access = this.#inMemory ? 'mapped' : 'read' } = options;
    return { missing, threads, kernel, access };
  }

  /**
   * Reads all keys once so that the operating system holds them in memory, as `--move-to-memory` asks. What it holds is
   * its cache: other processes share it, the next run finds it, and it gives way when memory is short.
   *
   * @param task - progress in bytes; the signal stops it, and what was read stays read
   * @throws {@link DatastoreError} `DATASTORE_CLOSED`, `DATASTORE_NO_KEYS`
   * @throws `CancelledError`
   */
  async moveToMemory(task: TaskOptions = {}): Promise<void> {
    const total = this.rows * keyBytes(this);
    let done = 0;
    for (const [part, { rows }] of this.#parts.entries()) {
      const size = rows * keyBytes(this);
      for (let offset = 0; offset < size; offset += populateBytes) {
        throwIfAborted(task.signal, 'stopped while the keys were moved to memory');
        const length = Math.min(populateBytes, size - offset);
        await this.#use(true, (engine) =>
          engine.populate(part, offset, length).catch((cause: unknown) => this.#rethrow(cause)),
        );
        done += length;
        task.onProgress?.({ stage: 'keys to memory', done, total, unit: 'bytes' });
      }
    }
    this.#use(true, (engine) => engine.hold());
    this.#inMemory = true;
  }

  /**
   * Checks a sample of what `verifyDatastore` checks, before work that relies on the datastore: the checksums and the
   * range of the values of six segments, and the keys of the first or the last segment, whichever is shorter (where they
   * are open). Sizes were checked by {@link Datastore.open}. It takes some 70 ms, or 5 ms without the keys.
   *
   * @param options - size of the vocabulary, signal
   * @throws {@link DatastoreError} when a file cannot be read; what is wrong with it is in the report
   */
  async quickVerify(options: QuickVerifyOptions = {}): Promise<QuickReport> {
    const { rows, dimension, dtype, hasKeys } = this;
    return quickVerify({ rows, dimension, dtype, hasKeys, parts: this.#parts }, options);
  }

  /** Closes the files. Calls under way finish first; later ones are an error. Closing twice is harmless. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#engine.close();
    this.#stored?.close();
  }

  #use<Result>(keys: boolean, call: (engine: Engine) => Result): Result {
    if (this.#closed) {
      throw new DatastoreError('DATASTORE_CLOSED', `the datastore ${this.folder} is closed`, {
        hint: 'Open it again.',
        details: { folder: this.folder },
      });
    }
    if (keys && !this.hasKeys) {
      throw new DatastoreError(
        'DATASTORE_NO_KEYS',
        `the datastore ${this.folder} was opened without its keys`,
        {
          hint: 'Open it with needKeys: true (--load-keys).',
          details: { folder: this.folder },
        },
      );
    }
    try {
      return call(this.#engine);
    } catch (cause) {
      return this.#rethrow(cause);
    }
  }

  #rethrow(cause: unknown): never {
    if (cause instanceof CancelledError) throw cause;
    const { code, message } = cause as { code?: unknown; message?: string };
    if (code === 'FILE' || code === 'FILE_TRUNCATED') {
      throw new DatastoreError('DATASTORE_SIZE_MISMATCH', message ?? 'the file was changed', {
        hint: 'Something changed the files of the datastore while it was open: check it, and open it again.',
        details: { folder: this.folder },
        cause,
      });
    }
    throw describeReadError(cause, this.folder, 'read the datastore');
  }

  #checkValue(row: number): void {
    if (row < 0) return;
    let [part, inPart] = [0, row];
    while (inPart >= this.#parts[part].rows) inPart -= this.#parts[part++].rows;
    const { values } = this.#parts[part];
    throw new DatastoreError(
      'DATASTORE_BAD_VALUE',
      `${values}: the value of row ${inPart} is no token id (over 2^31)`,
      {
        hint: 'Check that the file holds int64 values, and see verifyDatastore().',
        details: { path: values, row: inPart },
      },
    );
  }
}
