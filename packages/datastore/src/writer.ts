import { silentLogger, throwIfAborted, type TaskOptions } from '@knn-lm/common';
import type { ArrayFile } from './array-file.js';
import { beginDatastore, beginExtension, type BegunWriting } from './begin-writing.js';
import { DatastoreError, describeWriteError } from './error.js';
import { normalizeIdentity, type DatastoreIdentity } from './identity.js';
import type { KeyTransform } from './key-transform.js';
import { checkShape, keyBytes, requireLittleEndian, valueBytes } from './layout.js';
import type { DatastoreShape } from './layout.js';
import type { WriterLock } from './lock.js';
import { writeManifest, type Manifest } from './manifest.js';
import { moveReplacementIn, replacementFolder } from './replacement.js';
import { checkRows, int64Bytes } from './rows.js';
import { planSegmentRows, type SegmentChecksums } from './segments.js';
import { removeWeights, saveWeights } from './save-weights.js';
import { saveTorchTransform } from './torch-transform.js';
import { asFinished, withCommitted, writingOf, type Writing } from './writing.js';

/** Rows that were appended are committed at the latest after this time, at the next append. */
const commitIntervalMs = 30_000;

/** What {@link DatastoreWriter.create} takes. */
export interface DatastoreWriterOptions extends DatastoreShape, TaskOptions {
  /** What the datastore is made from; decides whether an unfinished one may be continued. */
  readonly identity: DatastoreIdentity;
  /**
   * Replaces a datastore that is there: one that is finished, one made from something else, or one without a manifest.
   * The old one stays, readable, until {@link DatastoreWriter.finish} moves the new one in, so the disk must hold both;
   * delete the old one first where it does not. An unfinished datastore of the same identity is resumed even so, which
   * lets a job that is started again with the same command go on.
   *
   * @default false
   */
  readonly overwrite?: boolean;
  /**
   * Rows of a full segment: how much is covered by one checksum and committed at a time. A datastore that is resumed
   * keeps what it was begun with.
   *
   * @default 64 MiB of keys, or 1/2048 of the datastore where that is more
   */
  readonly segmentRows?: number | undefined;
}

/**
 * Appends keys and values to a datastore on disk so that an interruption at any point loses little and lies never.
 *
 * The arrays grow as rows are appended; they are never made in full size in advance, so that no program can take a
 * half-written datastore for a whole one. Rows count once they are committed: both arrays on the disk (`fdatasync`),
 * then the manifest replaced atomically, with the number of committed rows and the SHA-256 of each segment. Commits
 * happen by themselves at the end of each segment (64 MiB of keys, or 1/2048 of the datastore) and at least every 30
 * seconds of appending.
 *
 * Memory: what one `append` is given, plus 16 bytes a row of it; the manifest of at most 2,048 segments.
 *
 * @example
 * ```ts
 * const writer = await DatastoreWriter.create('datastore', {
 *   rows: 2, dimension: 4, dtype: 'fp32', identity: { split: 'train' },
 * });
 * // An earlier run may have got some way: go on after writer.committedRows.
 * await writer.append(new Float32Array([1, 2, 3, 4, 5, 6, 7, 8]), new Int32Array([10, 11]));
 * await writer.finish();
 * await writer.close();
 * ```
 */
export class DatastoreWriter {
  /** The datastore's folder. */
  readonly folder: string;
  readonly #target: string;
  readonly #lock: WriterLock;
  readonly #task: TaskOptions;
  readonly #keys: ArrayFile;
  readonly #values: ArrayFile;
  readonly #checksums: SegmentChecksums;
  #manifest: Manifest;
  #appendedRows: number;
  #weights: string | undefined;
  #committedAt = Date.now();
  #failure: Error | undefined;
  #finished = false;
  #closed = false;
  /** Calls run one after the other, in the order they were made. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, begun: BegunWriting, task: TaskOptions) {
    this.folder = folder;
    this.#target = begun.target;
    this.#manifest = begun.manifest;
    this.#lock = begun.lock;
    this.#keys = begun.keys;
    this.#values = begun.values;
    this.#checksums = begun.checksums;
    this.#appendedRows = this.committedRows;
    this.#task = task;
  }

  /**
   * Begins a datastore, or resumes an unfinished one of the same identity, rows, dimension and dtype: what lies beyond
   * the last commit is cut off, and the last segment is checked against its checksum.
   *
   * @param folder - made if it is missing
   * @param options - shape, identity, overwrite, and how to watch and stop
   * @throws {@link DatastoreError} `DATASTORE_ALREADY_FINISHED` (the caller reports it and keeps the datastore),
   * `DATASTORE_MISMATCH` (another identity or shape; the message shows both sides), `DATASTORE_UNMANAGED` (arrays
   * without a manifest), `DATASTORE_LOCKED`, `DATASTORE_DAMAGED`, `DATASTORE_MANIFEST_DAMAGED`,
   * `DATASTORE_BAD_SHAPE`, `DATASTORE_NOT_WRITABLE`, `DATASTORE_DISK_FULL`, `DATASTORE_WRITE_FAILED`
   */
  static async create(folder: string, options: DatastoreWriterOptions): Promise<DatastoreWriter> {
    requireLittleEndian();
    const { rows, dimension, dtype, identity, overwrite = false, logger = silentLogger } = options;
    checkShape({ rows, dimension, dtype });
    const segmentRows = planSegmentRows({ rows, dimension, dtype }, options.segmentRows);
    const wanted = { rows, dimension, dtype, identity: normalizeIdentity(identity), segmentRows };
    const task = { signal: options.signal, logger };
    return new DatastoreWriter(folder, await beginDatastore(folder, wanted, overwrite, task), options);
  }

  /**
   * Begins to append the entries of another text to a finished datastore, or resumes where an interrupted run of the same
   * identity stopped. What is there is not touched: its rows stay the datastore until {@link DatastoreWriter.finish}, and
   * readers see none of the new ones before. The numbers of rows of this writer are those of the text alone.
   *
   * @param folder - a finished datastore with a manifest, without weights or a transform
   * @param options - rows of the text, dimension and dtype of the datastore; identity of the text, with the model, module
   * and dictionary of the datastore
   * @throws {@link DatastoreError} `DATASTORE_NOT_FOUND`, `DATASTORE_UNMANAGED`, `DATASTORE_UNFINISHED`,
   * `DATASTORE_NOT_APPENDABLE`, `DATASTORE_MISMATCH`, `DATASTORE_ALREADY_FINISHED` (this text is in it already),
   * `DATASTORE_TOO_MANY_TEXTS`, and as {@link DatastoreWriter.create}
   */
  static async extend(
    folder: string,
    options: Omit<DatastoreWriterOptions, 'overwrite' | 'segmentRows'>,
  ): Promise<DatastoreWriter> {
    requireLittleEndian();
    const { rows, dimension, dtype, identity, logger = silentLogger } = options;
    checkShape({ rows, dimension, dtype });
    const wanted = { rows, dimension, dtype, identity: normalizeIdentity(identity) };
    const task = { signal: options.signal, logger };
    return new DatastoreWriter(folder, await beginExtension(folder, wanted, task), options);
  }

  /** Rows that are to be written: those of the datastore, or those of the text that is appended to it. */
  get rows(): number {
    return this.#writing.rows;
  }

  get #writing(): Writing {
    return writingOf(this.#manifest);
  }

  /** Rows that are safely on the disk; a new run goes on with this row. */
  get committedRows(): number {
    return this.#writing.committedRows;
  }

  /** Rows appended so far, committed or not. */
  get appendedRows(): number {
    return this.#appendedRows;
  }

  /**
   * Appends rows. Calls need not wait for each other; the arrays must not change until the promise settles.
   *
   * @param keys - `[n, dimension]` row-major: half-precision patterns for fp16, float32 for fp32; all finite
   * @param values - `[n]` token ids, written as int64
   * @throws {@link DatastoreError} `DATASTORE_BAD_KEYS`, `DATASTORE_KEY_NOT_FINITE`, `DATASTORE_BAD_VALUE`,
   * `DATASTORE_TOO_MANY_ROWS`: nothing was written and the writer goes on; `DATASTORE_DISK_FULL`,
   * `DATASTORE_WRITE_FAILED`, `DATASTORE_LOCK_LOST`: the writer is done, what was committed stays
   * @throws `CancelledError` when the signal has fired
   */
  async append(keys: Uint16Array | Float32Array, values: Int32Array): Promise<void> {
    return this.#exclusively(async () => {
      const { signal, onProgress } = this.#task;
      throwIfAborted(signal, `stopped after ${this.#appendedRows} of ${this.rows} rows`);
      const { dimension, dtype } = this.#manifest;
      checkRows(keys, values, { rows: this.rows, dimension, dtype }, this.#appendedRows);
      await this.#guard(() => this.#write(keys, int64Bytes(values), values.length));
      onProgress?.({ stage: 'append', done: this.#appendedRows, total: this.rows, unit: 'rows' });
    });
  }

  async #write(keys: Uint16Array | Float32Array, valueData: Uint8Array, count: number): Promise<void> {
    const keyData = new Uint8Array(keys.buffer, keys.byteOffset, keys.byteLength);
    const rowBytes = keyBytes(this.#manifest);
    for (let done = 0; done < count;) {
      const rows = Math.min(count - done, this.#checksums.room);
      const rowKeys = keyData.subarray(done * rowBytes, (done + rows) * rowBytes);
      const rowValues = valueData.subarray(done * valueBytes, (done + rows) * valueBytes);
      await this.#keys.append(rowKeys);
      await this.#values.append(rowValues);
      this.#checksums.addKeys(rowKeys);
      this.#checksums.addValues(rowValues);
      const sealed = this.#checksums.endRows(rows);
      done += rows;
      this.#appendedRows += rows;
      if (sealed || Date.now() - this.#committedAt >= commitIntervalMs) await this.#commit();
    }
  }

  /**
   * Makes everything appended so far count, whatever happens afterwards.
   *
   * @throws {@link DatastoreError} `DATASTORE_DISK_FULL`, `DATASTORE_WRITE_FAILED`, `DATASTORE_LOCK_LOST`
   */
  async commit(): Promise<void> {
    return this.#exclusively(() => this.#guard(() => this.#commit()));
  }

  async #commit(): Promise<void> {
    this.#committedAt = Date.now();
    if (this.#appendedRows > this.committedRows) await this.#replaceManifest(await this.#synced());
  }

  /** The manifest that counts all rows appended so far, which are on the disk when it is returned. */
  async #synced(): Promise<Manifest> {
    if (this.#appendedRows === this.committedRows) return this.#manifest;
    await Promise.all([this.#keys.sync(), this.#values.sync()]);
    const progress = { committedRows: this.#appendedRows, segments: this.#checksums.snapshot() };
    return withCommitted(this.#manifest, progress);
  }

  async #replaceManifest(manifest: Manifest): Promise<void> {
    await this.#lock.assertHeld();
    await writeManifest(this.#target, manifest);
    this.#manifest = manifest;
  }

  /**
   * Writes `weight.npy` beside the arrays, whole or not at all. The manifest has its checksum once the datastore is
   * finished; one that is finished without weights has no such file.
   *
   * @param weights - consecutive weights, one for each row; chunks may be reused
   * @throws {@link DatastoreError} `DATASTORE_BAD_WEIGHT` when there are more or fewer than rows; as
   * {@link DatastoreWriter.commit}
   */
  async writeWeights(weights: Iterable<Float32Array>): Promise<void> {
    return this.#exclusively(() =>
      this.#guard(async () => {
        this.#weights = await saveWeights(this.#target, this.rows, weights, this.#task);
      }),
    );
  }

  /**
   * Writes the map that the keys went through beside the arrays, also as the Python tools keep it. The identity has to
   * name it (`transformFingerprint`).
   *
   * @throws {@link DatastoreError} as {@link DatastoreWriter.commit}
   */
  async writeTransform(transform: KeyTransform): Promise<void> {
    return this.#exclusively(() =>
      this.#guard(async () => {
        await saveTorchTransform(this.#target, transform);
        await transform.save(this.#target);
      }),
    );
  }

  /**
   * Commits the rest and marks the datastore finished; a replacement is moved into its place.
   *
   * @throws {@link DatastoreError} `DATASTORE_INCOMPLETE` when fewer rows were appended than planned (they are
   * committed all the same), and as {@link DatastoreWriter.commit}
   */
  async finish(): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#appendedRows < this.rows) {
        await this.#guard(() => this.#commit());
        throw incompleteError(this.folder, this.#appendedRows, this.rows);
      }
      await this.#guard(async () => {
        if (this.#weights === undefined) await removeWeights(this.#target);
        await this.#replaceManifest(asFinished(await this.#synced(), this.#weights));
        if (this.#target === replacementFolder(this.folder)) await moveReplacementIn(this.folder);
        this.#finished = true;
      });
    });
  }

  /**
   * Commits what was appended, unless writing has failed before, and gives the lock back. Closing twice is harmless.
   *
   * @throws {@link DatastoreError} as {@link DatastoreWriter.commit}; the writer is closed even so
   */
  async close(): Promise<void> {
    await this.#last.catch(() => undefined);
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.#failure === undefined && !this.#finished) await this.#guard(() => this.#commit());
    } finally {
      await Promise.allSettled([this.#keys.close(), this.#values.close()]);
      await this.#lock.release();
    }
  }

  /** Runs a call after those before it, on a writer that can still write. */
  async #exclusively(call: () => Promise<void>): Promise<void> {
    const run = this.#last.then(() => {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closed) throw stateError(this.folder, 'closed');
      if (this.#finished) throw stateError(this.folder, 'finished');
      return call();
    });
    this.#last = run.catch(() => undefined);
    return run;
  }

  /** A write that failed may have left anything beyond the commit: this writer ends there, the next one cuts it off. */
  async #guard(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (cause) {
      const { committedRows, rows } = this;
      const kept = `${committedRows} of ${rows} rows are committed and stay valid`;
      const described = describeWriteError(cause, this.#target, kept);
      this.#failure = described instanceof Error ? described : new Error(String(described));
      throw this.#failure;
    }
  }
}

function stateError(folder: string, state: 'closed' | 'finished'): DatastoreError {
  return new DatastoreError('DATASTORE_WRITER_CLOSED', `the writer of ${folder} is ${state}`, {
    hint: 'Create another writer.',
    details: { folder },
  });
}

function incompleteError(folder: string, found: number, expected: number): DatastoreError {
  return new DatastoreError(
    'DATASTORE_INCOMPLETE',
    `${folder} has ${found} rows, but ${expected} were planned`,
    {
      hint: `Append the missing ${expected - found} rows, or plan the datastore with ${found}.`,
      details: { folder, found, expected },
    },
  );
}
