/**
 * A random orthogonal matrix: Gram-Schmidt, twice, on rows of normally distributed numbers (which makes all rotations
 * equally likely). The same seed gives the same matrix.
 *
 * @param n - rows and columns
 * @param seed - a whole number
 * @returns `[n, n]` row-major
 */
export function randomRotation(n: number, seed: number): Float64Array {
  const normal = normalNumbers(seed);
  const matrix = Float64Array.from({ length: n * n }, normal);
  for (let i = 0; i < n; i++) {
    const row = matrix.subarray(i * n, (i + 1) * n);
    // Once leaves an error where the row was nearly in the span of those before it; twice is enough.
    for (let pass = 0; pass < 2; pass++) {
      for (let k = 0; k < i; k++) {
        const other = matrix.subarray(k * n, (k + 1) * n);
        const product = dot(row, other);
        for (let j = 0; j < n; j++) row[j] -= product * other[j];
      }
      const length = Math.sqrt(dot(row, row));
      for (let j = 0; j < n; j++) row[j] /= length;
    }
  }
  return matrix;
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

/** Box and Muller's method over the 32-bit generator of T. Ettinger ("mulberry32"). */
function normalNumbers(seed: number): () => number {
  let state = seed | 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (((x ^ (x >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}
