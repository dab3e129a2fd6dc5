import { KnnIndexError } from './errors.js';
import type { DistanceSource } from './key-source.js';
import type { KnnIndex, Neighbors } from './knn-index.js';

/** How neighbours are found. */
export interface NeighborSearchOptions {
  /** Neighbours a query. */
  readonly neighbors: number;
  /** Replaces the index's approximate distances by those to the keys themselves. @default false */
  readonly recompute?: boolean | undefined;
}

/**
 * Finds the neighbours of queries in the index and, where wanted, measures their distances on the keys themselves:
 * what the Python system does with `--recompute-distance`.
 *
 * The order stays that of the index. A missing neighbour has id -1. Without recomputing its distance is 3.4e38, so it
 * weighs nothing; with it, it is the last row of the datastore at its real distance, once for each missing one, as
 * Python's negative index makes it.
 */
export class NeighborSearch {
  readonly #index: KnnIndex;
  readonly #datastore: DistanceSource;
  readonly #neighbors: number;
  readonly #recompute: boolean;

  /**
   * @param index - finds the neighbours
   * @param datastore - has their keys
   * @param options - how many, and how their distances are measured
   * @throws {@link KnnIndexError} `KNN_INDEX_SIZE`, `KNN_INDEX_DIMENSION` when they do not belong together
   */
  constructor(index: KnnIndex, datastore: DistanceSource, options: NeighborSearchOptions) {
    checkMatch(index, datastore);
    this.#index = index;
    this.#datastore = datastore;
    this.#neighbors = options.neighbors;
    this.#recompute = options.recompute ?? false;
  }

  /**
   * Finds the neighbours of each query.
   *
   * @param queries - `[n, dimension]`
   * @param options - `signal` stops the search
   * @returns `[n, neighbors]` distances and ids
   */
  async search(
    queries: Float32Array,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Neighbors> {
    const found = await this.#index.search(queries, this.#neighbors, options);
    if (!this.#recompute) return found;
    const { ids } = found;
    return { ids, distances: await this.#datastore.squaredDistances(queries, ids, this.#neighbors) };
  }
}

function checkMatch(index: KnnIndex, datastore: DistanceSource): void {
  if (index.size !== datastore.rows) {
    throw new KnnIndexError(
      'KNN_INDEX_SIZE',
      `${index.path} has ${index.size} entries, but the datastore has ${datastore.rows}`,
      {
        hint: 'The index belongs to another datastore; build it again (--overwrite).',
        details: { found: index.size, expected: datastore.rows },
      },
    );
  }
  if (index.dimension === datastore.dimension) return;
  throw new KnnIndexError(
    'KNN_INDEX_DIMENSION',
    `${index.path} has ${index.dimension} dimensions, but the keys have ${datastore.dimension}`,
    {
      hint: 'The index belongs to another datastore.',
      details: { found: index.dimension, expected: datastore.dimension },
    },
  );
}
