/**
 * `numpy.random.default_rng(seed).permutation(count)`: a Fisher-Yates shuffle from the back (Generator.permutation), with
 * PCG64 (M. E. O'Neill 2014, XSL-RR output) seeded by numpy's
 * SeedSequence.
 *
 * @param seed - 0 to 2^53 - 1
 * @param count - below 2^32 - 1
 * @returns `[count]`
 */
export function numpyPermutation(seed: number, count: number): Uint32Array {
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[i] = i;
  const random = pcg64(seed);
  for (let i = count - 1; i > 0; i--) {
    const j = bounded(random, i);
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** A number from 0 to `maximum`, without bias: bits until they fit (numpy's `random_interval`). */
function bounded(next: () => number, maximum: number): number {
  const mask = maximum === 0 ? 0 : 0xffffffff >>> Math.clz32(maximum);
  for (;;) {
    const drawn = (next() & mask) >>> 0;
    if (drawn <= maximum) return drawn;
  }
}

const mask128 = (1n << 128n) - 1n;
const multiplier = 0x2360ed051fc65da44385df649fccf645n;

/** 32 bits at a time: the lower half of each 64-bit output, then its upper half. */
function pcg64(seed: number): () => number {
  const [a, b, c, d] = seedWords(seed);
  const increment = (((c << 64n) | d) << 1n) | 1n;
  const step = (state: bigint) => (state * multiplier + increment) & mask128;
  let state = step((step(0n) + ((a << 64n) | b)) & mask128);
  let spare: number | undefined;
  return () => {
    if (spare !== undefined) {
      const half = spare;
      spare = undefined;
      return half;
    }
    state = step(state);
    const folded = (state >> 64n) ^ (state & 0xffffffffffffffffn);
    const rotation = state >> 122n;
    const output = BigInt.asUintN(64, (folded >> rotation) | (folded << (64n - rotation)));
    spare = Number(output >> 32n);
    return Number(output & 0xffffffffn);
  };
}

/** The first four 64-bit words of numpy's SeedSequence (numpy/random/bit_generator.pyx). */
function seedWords(seed: number): bigint[] {
  let constant = 0x43b0d7e5;
  const hash = (value: number) => {
    const mixed = value ^ constant;
    constant = Math.imul(constant, 0x931e8875);
    const product = Math.imul(mixed, constant);
    return product ^ (product >>> 16);
  };
  const mix = (x: number, y: number) => {
    const mixed = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) | 0;
    return mixed ^ (mixed >>> 16);
  };
  const pool = [seed % 2 ** 32, Math.floor(seed / 2 ** 32), 0, 0].map(hash);
  for (let source = 0; source < 4; source++)
    for (let target = 0; target < 4; target++)
      if (source !== target) pool[target] = mix(pool[target], hash(pool[source]));
  constant = 0x8b51f9dd;
  const words = Array.from({ length: 8 }, (_, i) => {
    const mixed = pool[i % 4] ^ constant;
    constant = Math.imul(constant, 0x58f38ded);
    const product = Math.imul(mixed, constant);
    return BigInt((product ^ (product >>> 16)) >>> 0);
  });
  return [0, 2, 4, 6].map((i) => words[i] | (words[i + 1] << 32n));
}
