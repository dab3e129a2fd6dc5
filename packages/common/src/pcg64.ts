import { seedWords } from './seed-sequence.js';

// The multiplier of PCG's 128-bit generators, 0x2360ed051fc65da44385df649fccf645, in 16-bit limbs, lowest first.
const MULTIPLIER = [0xf645, 0x9fcc, 0xdf64, 0x4385, 0x5da4, 0x1fc6, 0xed05, 0x2360];

/**
 * numpy's default generator, `numpy.random.default_rng(seed)`: PCG64, that is a 128-bit linear congruential generator
 * with the XSL-RR output (M. E. O'Neill, "PCG: A Family of Simple Fast Space-Efficient Statistically Good Algorithms
 * for Random Number Generation", 2014).
 */
export class Pcg64 {
  // 128 bits as eight 16-bit limbs, lowest first: their products and sums are exact in a double.
  readonly #state = new Float64Array(8);
  readonly #increment = new Float64Array(8);
  readonly #product = new Float64Array(8);
  #spare: number | undefined;

  /**
   * Seeds the generator as numpy does, through its SeedSequence.
   *
   * @param seed - a whole number from 0 to 2^53 - 1
   */
  constructor(seed: number) {
    // Four 64-bit words, each from two of 32 with the lower first: state (higher word first), then stream.
    const words = seedWords(seed, 8);
    const initialState = limbs([words[2], words[3], words[0], words[1]]);
    const stream = limbs([words[6], words[7], words[4], words[5]]);
    for (let i = 0; i < 8; i++) {
      // increment = stream * 2 + 1
      this.#increment[i] = ((stream[i] << 1) & 0xffff) | (i === 0 ? 1 : stream[i - 1] >>> 15);
    }
    this.#step();
    addTo(this.#state, initialState);
    this.#step();
  }

  /** The next 32 bits: the lower half of a 64-bit output, then its upper half. */
  nextUint32(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    this.#step();
    const s = this.#state;
    // XSL-RR: the halves are xored, then rotated right by the top six bits.
    const low = ((s[0] ^ s[4]) | ((s[1] ^ s[5]) << 16)) >>> 0;
    const high = ((s[2] ^ s[6]) | ((s[3] ^ s[7]) << 16)) >>> 0;
    const rotation = s[7] >>> 10;
    const [a, b] = rotation < 32 ? [low, high] : [high, low];
    const r = rotation & 31;
    this.#spare = r === 0 ? b : ((b >>> r) | (a << (32 - r))) >>> 0;
    return r === 0 ? a : ((a >>> r) | (b << (32 - r))) >>> 0;
  }

  /**
   * A whole number from 0 to `maximum`, both included, without bias: D. Lemire's multiplication with rejection, as
   * numpy's `random_bounded_uint64` does it for ranges of 32 bits.
   *
   * @param maximum - below 2^32 - 1
   */
  nextBounded(maximum: number): number {
    if (maximum === 0) return 0;
    const range = maximum + 1;
    let [high, low] = multiply32(this.nextUint32(), range);
    if (low < range) {
      const threshold = (2 ** 32 - range) % range;
      while (low < threshold) [high, low] = multiply32(this.nextUint32(), range);
    }
    return high;
  }

  #step(): void {
    const state = this.#state;
    const product = this.#product;
    let carry = 0;
    for (let i = 0; i < 8; i++) {
      // At most eight products below 2^32 and a carry: exact.
      let sum = carry + this.#increment[i];
      for (let j = 0; j <= i; j++) sum += state[j] * MULTIPLIER[i - j];
      product[i] = sum % 0x10000;
      carry = Math.floor(sum / 0x10000);
    }
    state.set(product);
  }
}

function limbs(words: readonly number[]): Float64Array {
  return Float64Array.from({ length: 8 }, (_, i) => (words[i >> 1] >>> (i % 2 === 0 ? 0 : 16)) & 0xffff);
}

function addTo(target: Float64Array, summand: Float64Array): void {
  let carry = 0;
  for (let i = 0; i < 8; i++) {
    const sum = target[i] + summand[i] + carry;
    target[i] = sum & 0xffff;
    carry = sum >>> 16;
  }
}

/** The product of two 32-bit numbers, as its upper and lower 32 bits. */
function multiply32(a: number, b: number): [high: number, low: number] {
  const low = Math.imul(a, b) >>> 0;
  const upper = (a >>> 16) * b;
  const lower = (a & 0xffff) * b;
  // a * b = upper * 2^16 + lower; both stay below 2^48.
  const high = Math.floor((upper + Math.floor(lower / 0x10000)) / 0x10000);
  return [high, low];
}
