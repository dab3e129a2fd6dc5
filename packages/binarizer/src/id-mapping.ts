import { WordCounter } from './word-counter.js';

/** What the ids of a part of a text become. */
export interface IdMapping {
  /** The new id of each, in memory that threads share. */
  readonly ids: Int32Array;
  /** Words of the part that have become `<unk>`. */
  readonly replaced: number;
}

const UNK = 3;

/** Words that several threads or texts have numbered each for itself, with common numbers. */
export class MergedCounters {
  /** All of their words and counts. */
  readonly all: WordCounter;
  readonly #counters: readonly WordCounter[];
  /** For each but the first what its ids have become; those of the first stay. */
  readonly #merged: readonly Int32Array[];

  /** @param counters - one or more; their tables must not be used afterwards */
  constructor(counters: readonly WordCounter[]) {
    const [first, ...others] = counters;
    this.#counters = counters;
    this.all = new WordCounter(first.table.arrays, first.counts.slice());
    this.#merged = others.map((counter) => this.all.merge(counter));
  }

  /**
   * What the ids of each counter become in the end.
   *
   * @param ids - what the ids of {@link MergedCounters.all} become; -1 becomes `<unk>`
   * @returns the mapping of each counter
   */
  mappings(ids: Int32Array): Map<WordCounter, IdMapping> {
    return new Map(
      this.#counters.map((counter, i) => {
        const merged = i === 0 ? undefined : this.#merged[i - 1];
        return [counter, mappingOf(counter.counts, merged, ids)];
      }),
    );
  }
}

function mappingOf(counts: Float64Array, merged: Int32Array | undefined, ids: Int32Array): IdMapping {
  const mapping = new Int32Array(new SharedArrayBuffer(counts.length * 4));
  let replaced = 0;
  for (let id = 0; id < counts.length; id++) {
    const becomes = ids[merged === undefined ? id : merged[id]];
    if (becomes < 0) replaced += counts[id];
    mapping[id] = becomes < 0 ? UNK : becomes;
  }
  return { ids: mapping, replaced };
}
