import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import type { IndexEngine } from './engine.js';
import type { DistanceSource, KeySource } from './key-source.js';
import type { Neighbors } from './knn-index.js';
import { mergeNearest } from './merge-nearest.js';
import { openEngine } from './open-engine.js';

/** Keys in memory at a time. */
const ROWS_AT_A_TIME = 16_384;
/** An exact index computes |q|^2 - 2qk + |k|^2, whose rounding may change places at the end; some more are measured. */
const SPARE_NEIGHBORS = 8;

/**
 * The nearest neighbours of queries among all keys of a datastore, by comparing each query with each key.
 *
 * Memory: 16,384 keys in single precision, twice. The datastore is read once, from front to back.
 *
 * @param source - the datastore
 * @param queries - `[n, dimension]`
 * @param k - neighbours a query
 * @param options - threads; how to report and to stop
 * @returns `[n, k]`, nearest first, with distances measured on the keys themselves; -1 where there are fewer keys
 */
export async function exactNeighbors(
  source: KeySource & DistanceSource,
  queries: Float32Array,
  k: number,
  options: TaskOptions & { readonly threads?: number | undefined } = {},
): Promise<Neighbors> {
  const engine = await openEngine();
  const wide = Math.min(k + SPARE_NEIGHBORS, source.rows);
  const rows = queries.length / source.dimension;
  let best: Neighbors = {
    ids: new Float64Array(rows * wide).fill(-1),
    distances: new Float32Array(rows * wide).fill(Infinity),
  };
  for (let start = 0; start < source.rows; start += ROWS_AT_A_TIME) {
    throwIfAborted(options.signal, 'stopped while searching exactly');
    options.onProgress?.({ stage: 'exact search', done: start, total: source.rows, unit: 'keys' });
    const keys = source.readKeys(start, Math.min(ROWS_AT_A_TIME, source.rows - start));
    best = mergeNearest(
      best,
      await searchSome(engine, source.dimension, keys, queries, wide, start, options),
      wide,
    );
  }
  options.onProgress?.({ stage: 'exact search', done: source.rows, total: source.rows, unit: 'keys' });
  return measured(source, queries, best.ids, wide, k);
}

async function searchSome(
  engine: IndexEngine,
  dimension: number,
  keys: Float32Array | Uint16Array,
  queries: Float32Array,
  k: number,
  firstRow: number,
  { threads, signal }: { readonly threads?: number | undefined; readonly signal?: AbortSignal | undefined },
): Promise<Neighbors> {
  const index = engine.create({ type: 'IndexFlatL2', dimension });
  try {
    await index.add(keys, { threads, signal });
    const { ids, distances } = await index.search(queries, k, { threads, signal });
    return { ids: ids.map((id) => (id < 0 ? -1 : id + firstRow)), distances };
  } finally {
    index.close();
  }
}

/** The k nearest of a few more, by their distances measured one by one. */
async function measured(
  source: DistanceSource,
  queries: Float32Array,
  candidates: Float64Array,
  wide: number,
  k: number,
): Promise<Neighbors> {
  const exact = await source.squaredDistances(queries, candidates, wide);
  const rows = candidates.length / wide;
  const ids = new Float64Array(rows * k).fill(-1);
  const distances = new Float32Array(rows * k).fill(3.4028234663852886e38);
  for (let row = 0; row < rows; row++) {
    const places = Array.from({ length: wide }, (_, i) => row * wide + i)
      .filter((at) => candidates[at] >= 0)
      .sort((a, b) => exact[a] - exact[b] || candidates[a] - candidates[b])
      .slice(0, k);
    places.forEach((at, i) => {
      ids[row * k + i] = candidates[at];
      distances[row * k + i] = exact[at];
    });
  }
  return { ids, distances };
}
