import { GroupSums, type TokenLoss } from './group-sums.js';
import type { HistogramBin, TokenGroup } from './report-data.js';
import { shortNumber } from './numbers.js';

/** Classes of a factor of two; an eighth is 9 % wide. */
const classesPerOctave = 8;
/** Distances between 2^-24 and 2^40 are told apart. */
const leastOctave = -24;
const octaves = 64;
/** Class 0 is for everything below, 0 itself included. */
const classCount = octaves * classesPerOctave + 1;

/** Lower end of a class. */
function lowerEnd(index: number): number {
  return index === 0 ? 0 : 2 ** (leastOctave + (index - 1) / classesPerOctave);
}

/** The class of a value. A distance that is a little below 0, as product quantization can give, counts as 0. */
function classOf(value: number): number {
  if (!(value >= lowerEnd(1))) return 0;
  const index = Math.floor((Math.log2(value) - leastOctave) * classesPerOctave) + 1;
  return Math.min(index, classCount - 1);
}

/** Tokens by a positive quantity of unknown scale, in narrow classes of equal ratio. Memory: 16 kB. */
export class LogarithmicClasses {
  readonly #sums = new GroupSums(classCount);

  /** Adds a token. */
  add(value: number, loss: TokenLoss): void {
    this.#sums.add(classOf(value), loss);
  }

  /** How many tokens there are from the least to the largest value, in classes of a quarter of an octave or wider. */
  histogram(mostBins: number): HistogramBin[] {
    const { first, end } = this.#range();
    const merged = Math.max(2, Math.ceil((end - first) / mostBins));
    const bins: HistogramBin[] = [];
    for (let i = first; i < end; i += merged) {
      const to = Math.min(i + merged, classCount);
      bins.push({ from: lowerEnd(i), to: lowerEnd(to), count: this.#sums.group('', i, to).tokens });
    }
    return bins;
  }

  /**
   * Groups of about equally many tokens.
   *
   * @param wanted - how many groups at most
   */
  quantiles(wanted: number): TokenGroup[] {
    const { first, end } = this.#range();
    const total = this.#sums.group('', first, end).tokens;
    const groups: TokenGroup[] = [];
    let begin = first;
    let seen = 0;
    for (let i = first; i < end; i++) {
      seen += this.#sums.tokens(i);
      if (seen * wanted < total * (groups.length + 1) && i < end - 1) continue;
      const group = this.#sums.group(
        `${shortNumber(lowerEnd(begin))} to ${shortNumber(lowerEnd(i + 1))}`,
        begin,
        i + 1,
      );
      if (group.tokens > 0) groups.push(group);
      begin = i + 1;
    }
    return groups;
  }

  /** The classes from the first to the last that has a token. */
  #range(): { first: number; end: number } {
    let first = 0;
    while (first < classCount && this.#sums.tokens(first) === 0) first++;
    let end = classCount;
    while (end > first && this.#sums.tokens(end - 1) === 0) end--;
    return { first, end };
  }
}
