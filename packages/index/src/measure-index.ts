import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { KnnIndexError } from './errors.js';
import { exactNeighbors } from './exact-neighbors.js';
import type { DistanceSource, KeySource } from './key-source.js';
import type { KnnIndex, Neighbors } from './knn-index.js';
import { describeLists, type ListStatistics } from './list-statistics.js';
import { sampleKeys } from './sample-keys.js';

/** What {@link measureIndex} measures. */
export interface MeasureOptions extends TaskOptions {
  /** Keys drawn as queries; 0 measures no recall. @default 100 */
  readonly queries?: number | undefined;
  /** Numbers of neighbours to measure recall at. @default [1, 10, 100, 1024] */
  readonly ks?: readonly number[] | undefined;
  /** Numbers of lists to look through. @default 1, 8, 32, 128 and the index's own */
  readonly nprobes?: readonly number[] | undefined;
  /** Seed of the draw. @default 1 */
  readonly seed?: number | undefined;
  /** Threads of the exact search. @default all cores */
  readonly threads?: number | undefined;
}

/** How much of the exact result is found with one nprobe. */
export interface MeasuredRecall {
  /** Lists looked through; `undefined` for an index without lists. */
  readonly nprobe: number | undefined;
  /** `[k, recall]`: the part, 0 to 1, of the k exact neighbours that is among the k found, on average. */
  readonly recalls: readonly (readonly [k: number, recall: number])[];
  /** Time of a query within a batch of all of them. */
  readonly millisecondsPerQuery: number;
}

/** What {@link measureIndex} found. */
export interface IndexStatistics {
  /** What the index is, in one line. */
  readonly description: string;
  /** Keys in it. */
  readonly size: number;
  /** Size of its files. */
  readonly fileBytes: number;
  /** Memory that it takes; `undefined` where the engine does not tell. */
  readonly memoryBytes: number | undefined;
  /** How even its lists are; `undefined` for an index without lists. */
  readonly lists: ListStatistics | undefined;
  /** Queries that recall was measured with. */
  readonly queries: number;
  /** Recall for each nprobe. */
  readonly recall: readonly MeasuredRecall[];
}

/**
 * Measures an index: how even its lists are, what memory it takes, and how much it finds of what an exact search finds.
 *
 * The queries are keys of the datastore, drawn at random; a key itself is not counted among its neighbours. Of keys at
 * the same distance any will do. For the exact search the whole datastore is read once.
 *
 * @param index - the open index
 * @param source - the datastore it was built from
 * @param options - see {@link MeasureOptions}
 * @throws {@link KnnIndexError} `KNN_INDEX_SIZE`, `KNN_INDEX_ARGUMENT`; `CancelledError`
 *
 * @example
 * ```ts
 * const statistics = await measureIndex(index, datastore, { queries: 200, ks: [10, 1024], nprobes: [8, 32] });
 * console.log(statistics.lists?.imbalance, statistics.recall);
 * ```
 */
export async function measureIndex(
  index: KnnIndex,
  source: KeySource & DistanceSource,
  options: MeasureOptions = {},
): Promise<IndexStatistics> {
  checkArguments(index, source, options);
  const sizes = await index.listSizes();
  const queries = Math.min(options.queries ?? 100, source.rows);
  return {
    description: index.description,
    size: index.size,
    fileBytes: index.fileBytes,
    memoryBytes: index.memoryBytes,
    lists: sizes === undefined ? undefined : describeLists(sizes),
    queries,
    recall: queries === 0 ? [] : await measureRecall(index, source, queries, options),
  };
}

async function measureRecall(
  index: KnnIndex,
  source: KeySource & DistanceSource,
  count: number,
  options: MeasureOptions,
): Promise<MeasuredRecall[]> {
  // One neighbour fewer than there are keys: the query itself does not count.
  const most = Math.max(source.rows - 1, 1);
  const ks = [...new Set((options.ks ?? [1, 10, 100, 1024]).map((k) => Math.min(k, most)))].sort(
    (a, b) => a - b,
  );
  const largest = ks[ks.length - 1];
  const sample = await sampleKeys(source.rows, count, options.seed ?? 1, { signal: options.signal });
  const own = sample.rowsAt(Float64Array.from({ length: count }, (_, i) => i));
  const queries = singles(source, own);
  const exact = await exactNeighbors(source, queries, largest + 1, options);
  const measured: MeasuredRecall[] = [];
  for (const nprobe of chooseNprobes(index, options)) {
    throwIfAborted(options.signal, 'stopped while measuring recall');
    const startMs = performance.now();
    const found = await index.search(queries, largest + 1, { nprobe, signal: options.signal });
    const millisecondsPerQuery = (performance.now() - startMs) / count;
    const distances = await source.squaredDistances(queries, found.ids, largest + 1);
    const recalls = ks.map(
      (k) => [k, recallAt(k, largest + 1, own, exact, { ids: found.ids, distances })] as const,
    );
    measured.push({ nprobe, recalls, millisecondsPerQuery });
  }
  return measured;
}

function chooseNprobes(index: KnnIndex, options: MeasureOptions): (number | undefined)[] {
  if (index.nprobe === undefined) return [undefined];
  const lists = index.centroids ?? Infinity;
  const wanted = options.nprobes ?? [1, 8, 32, 128, index.nprobe];
  return [...new Set(wanted.map((nprobe) => Math.min(nprobe, lists)))].sort((a, b) => a - b);
}

/** Keys are half precision in some sources; the datastore widens them for consecutive reads and gathers alike. */
function singles(source: KeySource, ids: Float64Array): Float32Array {
  const keys = source.gatherKeys(ids);
  if (keys instanceof Float32Array) return keys;
  throw new KnnIndexError('KNN_INDEX_ARGUMENT', 'the keys are not in single precision', {
    hint: 'Give a source that widens its keys, as Datastore does.',
  });
}

/** Mean part of the exact neighbours that is found: the found keys that are no farther than the last exact one. */
function recallAt(k: number, stride: number, own: Float64Array, exact: Neighbors, found: Neighbors): number {
  let hits = 0;
  for (let row = 0; row < own.length; row++) {
    const others = (from: Neighbors): number[] =>
      Array.from({ length: stride }, (_, i) => row * stride + i)
        .filter((at) => from.ids[at] !== own[row])
        .slice(0, k);
    const farthest = exact.distances[others(exact)[k - 1]];
    hits += others(found).filter((at) => found.ids[at] >= 0 && found.distances[at] <= farthest).length;
  }
  return hits / (own.length * k);
}

function checkArguments(index: KnnIndex, source: KeySource, options: MeasureOptions): void {
  if (index.size !== source.rows || index.dimension !== source.dimension) {
    const shape = (rows: number, dimension: number): string => `${rows} keys of ${dimension} dimensions`;
    throw new KnnIndexError(
      'KNN_INDEX_SIZE',
      `${index.path} has ${shape(index.size, index.dimension)}, but the datastore has ${shape(source.rows, source.dimension)}`,
      {
        hint: 'The index belongs to another datastore.',
        details: { found: index.size, expected: source.rows },
      },
    );
  }
  const lists = [options.ks ?? [1], options.nprobes ?? [1]];
  const wrong = lists.flat().find((value) => !(Number.isInteger(value) && value >= 1 && value < 2 ** 31));
  const queries = options.queries ?? 0;
  if (
    wrong === undefined &&
    lists.every((list) => list.length > 0) &&
    Number.isInteger(queries) &&
    queries >= 0
  ) {
    return;
  }
  throw new KnnIndexError(
    'KNN_INDEX_ARGUMENT',
    `a number of neighbours, lists or queries is wrong: ${wrong ?? queries}`,
    { hint: 'Give whole numbers of 1 or more; 0 queries measure no recall.' },
  );
}
