import type { Datastore, ValueWeights } from '@knn-lm/datastore';
import type { KnnIndex } from '@knn-lm/index';
import { KnnError } from './errors.js';
import type { Neighbors } from './probability.js';

/** How a {@link NeighborSearch} looks up. */
export interface NeighborSearchOptions {
  /** Neighbours of each query; 1 and more. */
  readonly k: number;
  /** Replace the index's approximate distances by the real ones, from the keys. The order stays the index's. */
  readonly recomputeDistance?: boolean | undefined;
  /** Weigh the neighbours by the weights of a pruned datastore. */
  readonly weights?: ValueWeights | undefined;
}

/**
 * Finds the neighbours of hidden states: the index gives ids, the datastore values and, when asked, real distances.
 *
 * Where the index finds fewer than k, the rest has the value of the datastore's last entry; it weighs nothing, but with
 * recomputed distances it counts with the last entry's distance, as in the Python system (fancy indexing with -1).
 */
export class NeighborSearch {
  readonly #index: KnnIndex;
  readonly #datastore: Datastore;
  readonly #options: NeighborSearchOptions;

  /**
   * @param index - an index of all of the datastore's keys
   * @param datastore - the keys (only for recomputation) and values
   * @param options - k and what to do with the distances
   * @throws {@link KnnError} `DIMENSION_MISMATCH` or `INDEX_SIZE_MISMATCH` when the two do not belong together
   */
  constructor(index: KnnIndex, datastore: Datastore, options: NeighborSearchOptions) {
    if (index.dimension !== datastore.dimension) {
      throw new KnnError(
        'DIMENSION_MISMATCH',
        `the index has vectors of ${index.dimension} dimensions, the datastore ${datastore.folder} keys of ${datastore.dimension}`,
        {
          hint: 'Build the index again from this datastore (build_faiss_index --overwrite).',
          details: { indexDimension: index.dimension, datastoreDimension: datastore.dimension },
        },
      );
    }
    if (index.size !== datastore.rows) {
      throw new KnnError(
        'INDEX_SIZE_MISMATCH',
        `the index has ${index.size} vectors, the datastore ${datastore.folder} has ${datastore.rows} entries`,
        {
          hint: 'Build the index again from this datastore (build_faiss_index --overwrite), or give the right --datastore-size.',
          details: { indexSize: index.size, datastoreRows: datastore.rows },
        },
      );
    }
    this.#index = index;
    this.#datastore = datastore;
    this.#options = options;
  }

  /** Neighbours of each query. */
  get k(): number {
    return this.#options.k;
  }

  /** Dimension of a query. */
  get dimension(): number {
    return this.#datastore.dimension;
  }

  /**
   * Looks up the neighbours of a number of queries.
   *
   * @param queries - `[n, dimension]` float32, row-major
   * @returns distances and values `[n, k]`
   */
  async search(queries: Float32Array): Promise<Neighbors> {
    const { k, recomputeDistance } = this.#options;
    const found = await this.#index.search(queries, k);
    const distances =
      recomputeDistance === true
        ? await this.#datastore.squaredDistances(queries, found.ids, k, found.distances)
        : found.distances;
    const values = this.#datastore.gatherValues(found.ids);
    const weights = this.#options.weights?.gather(found.ids);
    return { k, distances, values, weights };
  }
}
