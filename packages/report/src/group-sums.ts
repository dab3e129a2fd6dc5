import type { TokenGroup } from './report-data.js';

/** Losses of one token, in bits. */
export interface TokenLoss {
  /** Of the language model alone. */
  readonly lmBits: number;
  /** Of the mixture. */
  readonly mixedBits: number;
}

/** Sums of a fixed number of groups of tokens. Memory: 32 bytes a group. */
export class GroupSums {
  readonly #tokens: Float64Array;
  readonly #lmBits: Float64Array;
  readonly #mixedBits: Float64Array;
  readonly #helped: Float64Array;

  /** @param size - number of groups */
  constructor(size: number) {
    this.#tokens = new Float64Array(size);
    this.#lmBits = new Float64Array(size);
    this.#mixedBits = new Float64Array(size);
    this.#helped = new Float64Array(size);
  }

  /** Number of groups. */
  get size(): number {
    return this.#tokens.length;
  }

  /** Adds one token to a group. */
  add(group: number, { lmBits, mixedBits }: TokenLoss): void {
    this.#tokens[group]++;
    this.#lmBits[group] += lmBits;
    this.#mixedBits[group] += mixedBits;
    if (mixedBits < lmBits) this.#helped[group]++;
  }

  /** Tokens in a group. */
  tokens(group: number): number {
    return this.#tokens[group];
  }

  /** Bits that a group's tokens gain in all. */
  gain(group: number): number {
    return this.#lmBits[group] - this.#mixedBits[group];
  }

  /** The groups `from` to `to - 1` as one. */
  group(label: string, from: number, to = from + 1): TokenGroup {
    const sum = (values: Float64Array) => values.subarray(from, to).reduce((a, b) => a + b, 0);
    return {
      label,
      tokens: sum(this.#tokens),
      lmBits: sum(this.#lmBits),
      mixedBits: sum(this.#mixedBits),
      helped: sum(this.#helped),
    };
  }

  /** Adds each pair of neighbouring groups up, so that the second half becomes free. */
  halve(): void {
    for (const values of [this.#tokens, this.#lmBits, this.#mixedBits, this.#helped]) {
      const half = values.length / 2;
      for (let i = 0; i < half; i++) values[i] = values[2 * i] + values[2 * i + 1];
      values.fill(0, half);
    }
  }
}
