import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { chooseAddon } from './choose-addon.js';
import { FaissError } from './errors.js';

/** Stops a native task and counts its iterations. */
export interface NativeControl {
  cancel(): void;
  readonly iterations: number;
}

/** Rows in native memory that an index is trained on. */
export interface NativeTrainingRows {
  set(vectors: Float32Array | Uint16Array, positions: Float64Array): void;
  readonly filledRows: number;
  close(): void;
}

/** What an index was made with. */
export interface NativeDescription {
  readonly type: 'IndexFlat' | 'IndexIVFPQ' | 'other';
  readonly joinable: boolean;
  readonly dimension: number;
  readonly centroids?: number;
  readonly codeSize?: number;
  readonly bitsPerIndex?: number;
  readonly coarseIterations?: number;
  readonly productIterations?: number;
}

/** One Faiss index. Arguments are checked by the caller. */
export interface NativeIndex {
  train(
    rows: NativeTrainingRows,
    coarseRows: number,
    productRows: number,
    threads: number,
    control: NativeControl,
  ): Promise<void>;
  add(
    vectors: Float32Array | Uint16Array,
    ids: Float64Array | undefined,
    threads: number,
    control: NativeControl,
  ): Promise<void>;
  search(
    queries: Float32Array | Uint16Array,
    k: number,
    threads: number,
    control: NativeControl,
  ): Promise<{ distances: Float32Array; ids: Float64Array }>;
  write(path: string, threads: number, control: NativeControl): Promise<void>;
  reset(threads: number, control: NativeControl): Promise<void>;
  listSizes(threads: number, control: NativeControl): Promise<Float64Array | undefined>;
  describe(): NativeDescription;
  readonly memoryBytes: number;
  readonly size: number;
  readonly trained: boolean;
  nprobe: number;
  close(): void;
}

/** The handle that `read` resolves with, for the constructor of `Index`. */
export interface NativeHandle {
  readonly opaque: unique symbol;
}

/** The compiled addon. */
export interface NativeAddon {
  readonly Control: new () => NativeControl;
  readonly TrainingRows: new (dimension: number, rows: number) => NativeTrainingRows;
  readonly Index: {
    new (handle: NativeHandle): NativeIndex;
    new (kind: 'flatL2', dimension: number): NativeIndex;
    new (kind: 'ivfPq', dimension: number, centroids: number, codeSize: number, bits: number): NativeIndex;
    new (kind: 'factory', dimension: number, description: string, innerProduct: boolean): NativeIndex;
  };
  read(path: string, map: boolean): Promise<NativeHandle>;
  merge(
    paths: readonly string[],
    firstIds: Float64Array,
    path: string,
    listsPath: string,
    listsStored: string,
    threads: number,
    control: NativeControl,
  ): Promise<void>;
  permutation(n: number, count: number, seed: number): Promise<Int32Array>;
  cancelAll(): void;
  readonly processors: number;
  readonly library: NativeLibrary;
}

/** What the addon was linked with. */
export interface NativeLibrary {
  /** Faiss's version. */
  readonly version: string;
  /** Faiss's own words for the instructions it was compiled for. */
  readonly compileOptions: string;
  /** OpenBLAS's words for its build and the processor it found; empty for another BLAS. */
  readonly blas: string;
}

const buildFolder = fileURLToPath(new URL('../build', import.meta.url));
const missingHint =
  'Run `npm run setup` in the repository: it installs libfaiss-dev and OpenBLAS and compiles the addon.';

/**
 * Loads an addon file.
 *
 * @param path - the `.node` file
 * @throws {@link FaissError} `FAISS_ADDON_MISSING` when it is not there or cannot be loaded
 */
export function loadAddonFile(path: string): NativeAddon {
  if (!existsSync(path)) {
    throw new FaissError('FAISS_ADDON_MISSING', `the Faiss addon is not compiled: ${path} does not exist`, {
      hint: missingHint,
      details: { path },
    });
  }
  // Read by libgomp when it is loaded, and never again. Spinning threads on a busy core took 11.7 s where waiting
  // ones took 5.
  process.env['OMP_WAIT_POLICY'] ??= 'passive';
  try {
    const addon = createRequire(import.meta.url)(path) as NativeAddon;
    // The process would wait for every queued search before it ends.
    process.on('exit', () => addon.cancelAll());
    return addon;
  } catch (cause) {
    throw new FaissError(
      'FAISS_ADDON_MISSING',
      `the Faiss addon cannot be loaded: ${(cause as Error).message}`,
      {
        hint: missingHint,
        details: { path },
        cause,
      },
    );
  }
}

let loaded: NativeAddon | undefined;

/**
 * The addon of this package, loaded when it is first needed.
 *
 * @throws {@link FaissError} `FAISS_ADDON_MISSING`
 */
export function loadAddon(): NativeAddon {
  loaded ??= loadAddonFile(chooseAddon(buildFolder));
  return loaded;
}

/**
 * Loads the addon now instead of at the first use.
 *
 * @throws {@link FaissError} `FAISS_ADDON_MISSING` when it is not compiled or cannot be loaded
 */
export function requireAddon(): void {
  loadAddon();
}
