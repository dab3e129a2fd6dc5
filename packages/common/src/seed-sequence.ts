// numpy's SeedSequence (numpy/random/bit_generator.pyx), after M. E. O'Neill, "Developing a seed_seq Alternative"
// (2015): mixes a seed of any size into a pool of four words, from which any number of words is drawn.

const POOL_SIZE = 4;
const INIT_A = 0x43b0d7e5;
const MULT_A = 0x931e8875;
const INIT_B = 0x8b51f9dd;
const MULT_B = 0x58f38ded;
const MIX_MULT_L = 0xca01f9dd;
const MIX_MULT_R = 0x4973f715;

/**
 * The words that `numpy.random.SeedSequence(seed).generate_state(count)` gives.
 *
 * @param seed - a whole number from 0 to 2^53 - 1
 * @param count - how many 32-bit words
 */
export function seedWords(seed: number, count: number): Uint32Array {
  const pool = mixEntropy(seed < 2 ** 32 ? [seed] : [seed % 2 ** 32, Math.floor(seed / 2 ** 32)]);
  const words = new Uint32Array(count);
  let constant = INIT_B;
  for (let i = 0; i < count; i++) {
    let value = pool[i % POOL_SIZE] ^ constant;
    constant = Math.imul(constant, MULT_B);
    value = Math.imul(value, constant);
    words[i] = value ^ (value >>> 16);
  }
  return words;
}

function mixEntropy(entropy: readonly number[]): Int32Array {
  let constant = INIT_A;
  const hash = (word: number): number => {
    let value = word ^ constant;
    constant = Math.imul(constant, MULT_A);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  };
  const pool = new Int32Array(POOL_SIZE);
  // A seed of 53 bits never has more words than the pool.
  for (let i = 0; i < POOL_SIZE; i++) pool[i] = hash(entropy[i] ?? 0);
  for (let source = 0; source < POOL_SIZE; source++) {
    for (let target = 0; target < POOL_SIZE; target++) {
      if (source === target) continue;
      const mixed = Math.imul(pool[target], MIX_MULT_L) - Math.imul(hash(pool[source]), MIX_MULT_R);
      pool[target] = mixed ^ ((mixed | 0) >>> 16);
    }
  }
  return pool;
}
