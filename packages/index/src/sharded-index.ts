import type { EngineCallOptions, EngineIndex } from './engine.js';
import { KnnIndexError } from './errors.js';
import { mergeNearest } from './merge-nearest.js';

/** Several index files over different rows of one datastore, searched as one. */
export class ShardedIndex implements EngineIndex {
  readonly isTrained = true;
  readonly isJoinable = false;
  readonly #shards: readonly EngineIndex[];

  /**
   * @param shards - trained, of one dimension, with the rows of the datastore as ids
   */
  constructor(shards: readonly EngineIndex[]) {
    this.#shards = shards;
  }

  get dimension(): number {
    return this.#shards[0].dimension;
  }
  get size(): number {
    return this.#shards.reduce((sum, { size }) => sum + size, 0);
  }
  get centroids(): number | undefined {
    return this.#shards[0].centroids;
  }
  get nprobe(): number | undefined {
    return this.#shards[0].nprobe;
  }
  set nprobe(value: number | undefined) {
    for (const shard of this.#shards) shard.nprobe = value;
  }
  get memoryBytes(): number | undefined {
    let sum: number | undefined = 0;
    for (const { memoryBytes } of this.#shards) {
      sum = memoryBytes === undefined || sum === undefined ? undefined : sum + memoryBytes;
    }
    return sum;
  }
  get description(): string {
    const { description, size } = this.#shards[0];
    return `${this.#shards.length} shards of ${description.replace(`${size} vectors`, `${this.size} vectors`)}`;
  }

  /**
   * The k nearest of all shards: each is searched for k, one after the other with all threads, so that memory holds two
   * results. At the same distance the smaller id comes first.
   */
  async search(
    queries: Float32Array,
    k: number,
    options: EngineCallOptions,
  ): Promise<{ distances: Float32Array; ids: Float64Array }> {
    const { nprobe } = this;
    const [first, ...others] = this.#shards;
    let nearest = await searchWith(first, nprobe, queries, k, options);
    for (const shard of others) {
      nearest = mergeNearest(nearest, await searchWith(shard, nprobe, queries, k, options), k);
    }
    return nearest;
  }

  async listSizes(): Promise<Float64Array | undefined> {
    const sizes = await Promise.all(this.#shards.map((shard) => shard.listSizes()));
    const [first, ...others] = sizes;
    return first?.map((size, list) => size + others.reduce((sum, other) => sum + (other?.[list] ?? 0), 0));
  }

  close(): void {
    for (const shard of this.#shards) shard.close();
  }

  trainingRows(): never {
    throw readOnly();
  }
  train(): Promise<never> {
    return Promise.reject(readOnly());
  }
  add(): Promise<never> {
    return Promise.reject(readOnly());
  }
  reset(): Promise<never> {
    return Promise.reject(readOnly());
  }
  write(): Promise<never> {
    return Promise.reject(readOnly());
  }
}

/** Searches with the nprobe of the moment when all shards were asked. */
async function searchWith(
  shard: EngineIndex,
  nprobe: number | undefined,
  queries: Float32Array,
  k: number,
  options: EngineCallOptions,
): Promise<{ distances: Float32Array; ids: Float64Array }> {
  const now = shard.nprobe;
  shard.nprobe = nprobe;
  // The engine takes nprobe at the moment of the call, and throws by rejecting.
  const searching = shard.search(queries, k, options);
  shard.nprobe = now;
  return searching;
}

function readOnly(): KnnIndexError {
  return new KnnIndexError('KNN_INDEX_SHARDS', 'shards are open for searching only', {
    hint: 'Make one index of them first: knn-lm merge-index.',
  });
}
