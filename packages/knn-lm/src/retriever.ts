import type { Datastore, ValueWeights } from '@knn-lm/datastore';
import { NeighborSearch, type KnnIndex } from '@knn-lm/index';
import type { RetrievedNeighbors } from './probability.js';

/** What a {@link Retriever} looks up. */
export interface RetrieverOptions {
  /** Neighbours of each query; 1 and more. */
  readonly k: number;
  /** Replace the index's approximate distances by the real ones, from the keys. The order stays the index's. */
  readonly recomputeDistance?: boolean | undefined;
  /** Weigh the neighbours by the weights of a pruned datastore. */
  readonly weights?: ValueWeights | undefined;
}

/**
 * Retrieves what followed the contexts nearest to a hidden state: the index finds the neighbours, the datastore has
 * their values and, when asked, their real distances.
 *
 * Where the index finds fewer than k, the rest has the value of the datastore's last entry; it weighs nothing, but with
 * recomputed distances it counts with the last entry's distance, as in the Python system (fancy indexing with -1).
 */
export class Retriever {
  /** Neighbours of each query. */
  readonly k: number;
  readonly #search: NeighborSearch;
  readonly #datastore: Datastore;
  readonly #weights: ValueWeights | undefined;

  /**
   * Puts an index and its datastore together.
   *
   * @param index - an index of all of the datastore's keys
   * @param datastore - the values, and the keys for recomputation
   * @param options - k, and what to do with the distances
   * @throws `KnnIndexError` `KNN_INDEX_SIZE` or `KNN_INDEX_DIMENSION` when the two do not belong together
   */
  constructor(index: KnnIndex, datastore: Datastore, options: RetrieverOptions) {
    const { k, recomputeDistance, weights } = options;
    this.k = k;
    this.#search = new NeighborSearch(index, datastore, { neighbors: k, recompute: recomputeDistance });
    this.#datastore = datastore;
    this.#weights = weights;
  }

  /**
   * Retrieves the neighbours of a number of queries.
   *
   * @param queries - `[n, dimension of the model's keys]` float32, row-major; they go through the datastore's transform
   * where its keys were reduced
   * @param signal - stops the search
   * @returns rows, distances and values `[n, k]`
   */
  async retrieve(queries: Float32Array, signal?: AbortSignal): Promise<RetrievedNeighbors> {
    const transformed = this.#datastore.transform?.apply(queries) ?? queries;
    const { ids, distances } = await this.#search.search(transformed, { signal });
    const values = this.#datastore.gatherValues(ids);
    return { k: this.k, ids, distances, values, weights: this.#weights?.gather(ids) };
  }
}
