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
  /**
   * The index is one shard of the datastore's: the distances by which it orders are kept beside recomputed ones, so that
   * the neighbours can be merged with those of the other shards. @defaultValue false
   */
  readonly indexShard?: boolean | undefined;
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
  readonly #index: KnnIndex;
  readonly #search: NeighborSearch | undefined;
  readonly #datastore: Datastore;
  readonly #weights: ValueWeights | undefined;
  readonly #recompute: boolean;

  /**
   * Puts an index and its datastore together.
   *
   * @param index - an index of all of the datastore's keys, or of some where `indexShard` is set
   * @param datastore - the values, and the keys for recomputation
   * @param options - k, and what to do with the distances
   * @throws `KnnIndexError` `KNN_INDEX_SIZE` or `KNN_INDEX_DIMENSION` when the two do not belong together
   */
  constructor(index: KnnIndex, datastore: Datastore, options: RetrieverOptions) {
    const { k, recomputeDistance, weights, indexShard } = options;
    this.k = k;
    this.#index = index;
    this.#recompute = recomputeDistance === true;
    this.#search =
      indexShard === true
        ? undefined
        : new NeighborSearch(index, datastore, { neighbors: k, recompute: recomputeDistance });
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
    const found = await (this.#search?.search(transformed, { signal }) ??
      this.#searchShard(transformed, signal));
    const values = this.#datastore.gatherValues(found.ids);
    return { k: this.k, ...found, values, weights: this.#weights?.gather(found.ids) };
  }

  async #searchShard(queries: Float32Array, signal: AbortSignal | undefined) {
    const { ids, distances: indexDistances } = await this.#index.search(queries, this.k, { signal });
    const distances = this.#recompute
      ? await this.#datastore.squaredDistances(queries, ids, this.k)
      : indexDistances;
    return { ids, distances, indexDistances };
  }
}
