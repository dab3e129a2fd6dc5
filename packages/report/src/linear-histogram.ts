import type { HistogramBin } from './report-data.js';

/** Counts values in classes of equal width between two ends; what lies outside has a class of its own at either end. */
export class LinearHistogram {
  readonly #from: number;
  readonly #width: number;
  readonly #counts: Float64Array;

  /**
   * @param from - lower end of the first class
   * @param to - upper end of the last
   * @param bins - number of classes
   */
  constructor(from: number, to: number, bins: number) {
    this.#from = from;
    this.#width = (to - from) / bins;
    this.#counts = new Float64Array(bins + 2);
  }

  /** Counts a value. */
  add(value: number): void {
    const bin = Math.floor((value - this.#from) / this.#width) + 1;
    this.#counts[Math.min(Math.max(bin, 0), this.#counts.length - 1)]++;
  }

  /** The classes from the first to the last that is not empty. */
  bins(): HistogramBin[] {
    const last = this.#counts.length - 1;
    const edge = (i: number) => this.#from + (i - 1) * this.#width;
    const bins = Array.from(this.#counts, (count, i) => ({
      from: i === 0 ? null : edge(i),
      to: i === last ? null : edge(i + 1),
      count,
    }));
    const begin = bins.findIndex(({ count }) => count > 0);
    return begin < 0 ? [] : bins.slice(begin, bins.findLastIndex(({ count }) => count > 0) + 1);
  }
}
