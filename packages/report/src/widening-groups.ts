import { GroupSums, type TokenLoss } from './group-sums.js';
import type { TokenGroup } from './report-data.js';

/**
 * Tokens grouped by a whole number of unknown range (a position, the number of a document), in a bounded number of
 * groups of equal width: the width doubles when a number lies behind the last group.
 */
export class WideningGroups {
  readonly #sums: GroupSums;
  #width = 1;
  #last = -1;

  /** @param capacity - most groups; an even number */
  constructor(capacity: number) {
    this.#sums = new GroupSums(capacity);
  }

  /** Whole numbers of a group. */
  get width(): number {
    return this.#width;
  }

  /** Groups from 0 to the last that has a token. */
  get count(): number {
    return this.#last < 0 ? 0 : Math.floor(this.#last / this.#width) + 1;
  }

  /** Adds a token at a number, 0 or more. */
  add(value: number, loss: TokenLoss): void {
    while (value >= this.#width * this.#sums.size) {
      this.#sums.halve();
      this.#width *= 2;
    }
    if (value > this.#last) this.#last = value;
    this.#sums.add(Math.floor(value / this.#width), loss);
  }

  /**
   * The groups that have tokens, `merged` of them as one.
   *
   * @param label - names a group by its first and last number
   * @param merged - groups to add up
   */
  groups(label: (first: number, last: number) => string, merged = 1): TokenGroup[] {
    const result: TokenGroup[] = [];
    for (let i = 0; i < this.count; i += merged) {
      const last = Math.min((i + merged) * this.#width - 1, this.#last);
      const group = this.#sums.group(label(i * this.#width, last), i, i + merged);
      if (group.tokens > 0) result.push(group);
    }
    return result;
  }
}
