const STATE_WORDS = 624;
const SHIFT_WORDS = 397;

/**
 * NumPy's legacy generator (`numpy.random.seed`, `RandomState`): the Mersenne Twister MT19937 of Matsumoto and
 * Nishimura (1998). Fairseq's order of samples depends on it.
 */
export class NumpyRandomState {
  readonly #state = new Uint32Array(STATE_WORDS);
  #position = STATE_WORDS;

  /** @param seed - 0 to 2^32 - 1, as for `numpy.random.seed(seed)` */
  constructor(seed: number) {
    let word = seed >>> 0;
    for (let i = 0; i < STATE_WORDS; i++) {
      this.#state[i] = word;
      word = (Math.imul(1812433253, word ^ (word >>> 30)) + i + 1) >>> 0;
    }
  }

  /** The next 32 random bits. */
  nextUint32(): number {
    if (this.#position === STATE_WORDS) this.#twist();
    let word = this.#state[this.#position++];
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  /**
   * A whole number from 0 to `max`, both included: draws masked bits until one fits, as NumPy does.
   *
   * @param max - below 2^32
   */
  interval(max: number): number {
    if (max === 0) return 0;
    const mask = 0xffffffff >>> Math.clz32(max);
    for (;;) {
      const value = (this.nextUint32() & mask) >>> 0;
      if (value <= max) return value;
    }
  }

  /** `numpy.random.permutation(count)`: a Fisher-Yates shuffle from the end. */
  permutation(count: number): Int32Array {
    const values = Int32Array.from({ length: count }, (_, i) => i);
    for (let i = count - 1; i > 0; i--) {
      const j = this.interval(i);
      const value = values[i];
      values[i] = values[j];
      values[j] = value;
    }
    return values;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < STATE_WORDS; i++) {
      const next = (i + 1) % STATE_WORDS;
      const mixed = (state[i] & 0x80000000) | (state[next] & 0x7fffffff);
      const odd = (mixed & 1) === 1 ? 0x9908b0df : 0;
      state[i] = state[(i + SHIFT_WORDS) % STATE_WORDS] ^ (mixed >>> 1) ^ odd;
    }
    this.#position = 0;
  }
}

const MASK_64 = (1n << 64n) - 1n;
const PRIME_1 = 11400714785074694791n;
const PRIME_2 = 14029467366897019727n;
const PRIME_5 = 2870177450012600261n;

/**
 * The seed that fairseq's `numpy_seed(seed, *others)` makes of several numbers: `int(hash(tuple) % 1e6)`, with the hash
 * that Python has for tuples (xxHash, `Objects/tupleobject.c`).
 *
 * @param numbers - whole numbers, zero or above
 */
export function numpySeedOf(numbers: readonly number[]): number {
  let hash = PRIME_5;
  for (const number of numbers) {
    hash = (hash + BigInt(number) * PRIME_2) & MASK_64;
    hash = ((hash << 31n) | (hash >> 33n)) & MASK_64;
    hash = (hash * PRIME_1) & MASK_64;
  }
  hash = (hash + (BigInt(numbers.length) ^ PRIME_5 ^ 3527539n)) & MASK_64;
  // Python takes the remainder of a double, with the sign of the divisor.
  const remainder = Number(BigInt.asIntN(64, hash)) % 1e6;
  return Math.floor(remainder < 0 ? remainder + 1e6 : remainder);
}
