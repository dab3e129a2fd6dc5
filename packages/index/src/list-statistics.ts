/** How evenly the keys are spread over the lists of an inverted file. */
export interface ListStatistics {
  /** How many lists there are. */
  readonly lists: number;
  /** Lists without a key. */
  readonly empty: number;
  /** Mean size. */
  readonly mean: number;
  /**
   * How many times as many keys a search scans as it would with lists of equal size, 1 or more: Faiss's
   * `imbalance_factor`, `lists * sum(size^2) / sum(size)^2`.
   */
  readonly imbalance: number;
  /** Sizes below which these parts of the lists are, by nearest rank: `[percent, size]`. */
  readonly percentiles: readonly (readonly [percent: number, size: number])[];
}

const PERCENTS = [0, 1, 10, 25, 50, 75, 90, 99, 100];

/**
 * Describes list sizes.
 *
 * @param sizes - `[lists]` keys in each list
 */
export function describeLists(sizes: Float64Array): ListStatistics {
  const sorted = sizes.slice().sort();
  const lists = sorted.length;
  const total = sorted.reduce((sum, size) => sum + size, 0);
  const squares = sorted.reduce((sum, size) => sum + size * size, 0);
  const atRank = (percent: number): number =>
    sorted[Math.max(Math.ceil((percent / 100) * lists) - 1, 0)] ?? 0;
  return {
    lists,
    empty: sorted.filter((size) => size === 0).length,
    mean: lists === 0 ? 0 : total / lists,
    imbalance: total === 0 ? 1 : (lists * squares) / (total * total),
    percentiles: PERCENTS.map((percent) => [percent, atRank(percent)] as const),
  };
}
