import { mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Pcg64, throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { Datastore } from './datastore.js';
import { datastorePaths, keyBytes, type KeysDtype } from './layout.js';
import { loadAddon } from './native-engine.js';

/** The rows whose distances are measured. */
export interface DistanceRateOptions extends TaskOptions {
  /** Folder in which a temporary datastore is made, and removed. */
  readonly folder: string;
  /** Elements of a key. */
  readonly dimension: number;
  /** Precision of the keys. */
  readonly dtype: KeysDtype;
  /** Rows of the planned datastore; no more than 256 MiB of them are made. */
  readonly rows: number;
  /** Neighbours of a query. */
  readonly k: number;
  /** Threads. @default all cores */
  readonly threads?: number | undefined;
}

/** Large enough that rows come from memory, not from the processor's caches. */
const probeBytes = 256 * 2 ** 20;
/** Queries that are timed together. */
const queryCount = 64;

/**
 * Measures how long it takes to compute the distances of a query to `k` rows at random places, with keys that are in
 * memory.
 *
 * A file with a hole is as good as one with keys: its pages are zeros, but pages all the same.
 *
 * @param options - shape, and where there is room for 256 MiB
 * @returns seconds a query
 * @throws {@link DatastoreError}; `CancelledError`
 */
export async function measureDistanceRate(options: DistanceRateOptions): Promise<number> {
  const { dimension, dtype, k, threads, signal } = options;
  const rows = Math.max(1, Math.min(options.rows, Math.floor(probeBytes / keyBytes(options))));
  const folder = await mkdtemp(join(options.folder, 'knn-lm-probe-'));
  try {
    const { keys, values } = datastorePaths(folder);
    await makeHole(keys, rows * keyBytes(options));
    await makeHole(values, rows * 8);
    const datastore = await Datastore.open(folder, { rows, dimension, dtype });
    try {
      await datastore.moveToMemory({ signal });
      const random = new Pcg64(1);
      const ids = Float64Array.from({ length: queryCount * k }, () => random.nextUint32() % rows);
      const queries = new Float32Array(queryCount * dimension);
      const given = threads === undefined ? {} : { threads };
      let shortest = Infinity;
      for (let i = 0; i < 3; i++) {
        throwIfAborted(signal);
        const startMs = performance.now();
        await datastore.squaredDistances(queries, ids, k, undefined, given);
        shortest = Math.min(shortest, performance.now() - startMs);
      }
      return shortest / 1000 / queryCount;
    } finally {
      datastore.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeHole(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'w');
  try {
    await file.truncate(bytes);
  } finally {
    await file.close();
  }
}

/** How distances are computed on this machine. */
export interface DistanceEngine {
  /** `native`: C++ over a mapping; `portable`: TypeScript over file reads. */
  readonly name: 'native' | 'portable';
  /** The implementations that this processor can run, the one in use first: `avx512`, `avx2`, `generic`. */
  readonly kernels: readonly string[];
  /** Why it is the portable one. */
  readonly reason?: string | undefined;
}

/**
 * Says how distances are computed on this machine.
 *
 * @example
 * ```ts
 * console.log(distanceEngine().kernels[0]);
 * ```
 */
export function distanceEngine(): DistanceEngine {
  const loaded = loadAddon();
  return 'addon' in loaded
    ? { name: 'native', kernels: loaded.addon.kernels }
    : { name: 'portable', kernels: ['typescript'], reason: loaded.reason };
}
