/**
 * Frequencies of the sinusoidal positions: 1 down to 1/10000 in a geometric sequence (Vaswani et al., 2017, section 3.5,
 * with the divisor `half - 1` of fairseq/modules/sinusoidal_positional_embedding.py).
 *
 * Every bit counts, for a frequency is multiplied by positions up to some thousands before the sine is taken: with a
 * correctly rounded exponential some entries of the table at position 3000 differ from torch's by 2e-4.
 *
 * @param width - width of the embedding; the first half are sines, the second cosines
 * @returns `[floor(width / 2)]`, bit for bit those of torch on x64
 */
export function sinusoidFrequencies(width: number): Float32Array {
  const half = width >> 1;
  const step = Math.fround(-(Math.log(10000) / (half - 1)));
  return Float32Array.from({ length: half }, (_, i) => expFloat32(Math.fround(i * step)));
}

/** ln 2 in two parts, the first short enough that its product with a small integer is exact. */
const ln2High = Math.fround(0.693145751953125);
const ln2Low = Math.fround(1.42860676533018705e-6);

/** Coefficients of `(exp(x) - 1 - x) / x²` on [-ln 2 / 2, ln 2 / 2], highest power first. */
const polynomial = [
  0.000198527617612853646, 0.00139304355252534151, 0.00833336077630519867, 0.0416664853692054749,
  0.16666667163372039, 0.5,
].map(Math.fround);

/**
 * The exponential in single precision as torch computes it on x64 (SLEEF's `expf`, error up to one unit in the last
 * place): reduction by multiples of ln 2, then a polynomial, each step rounded once.
 */
function expFloat32(x: number): number {
  const exponent = Math.round(Math.fround(x * Math.fround(Math.LOG2E)));
  const reduced = fusedMultiplyAdd(exponent, -ln2Low, fusedMultiplyAdd(exponent, -ln2High, x));
  const tail = polynomial.reduce((sum, coefficient) => fusedMultiplyAdd(sum, reduced, coefficient));
  const fraction = fusedMultiplyAdd(Math.fround(reduced * reduced), tail, reduced);
  return Math.fround(1 + fraction) * 2 ** exponent;
}

/** `a * b + c` of single-precision numbers: the product is exact in double precision. */
function fusedMultiplyAdd(a: number, b: number, c: number): number {
  return Math.fround(a * b + c);
}
