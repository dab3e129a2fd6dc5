/** Eigenvalues in descending order, and their eigenvectors. */
export interface Eigen {
  /** `[n]`. */
  readonly values: Float64Array;
  /** `[n, n]`, one eigenvector of length 1 a row. */
  readonly vectors: Float64Array;
}

/** More rotations than this for one eigenvalue are needed only by matrices with numbers that are not finite. */
const maxIterations = 100;

/**
 * Eigenvalues and eigenvectors of a symmetric matrix: Householder's reduction to tridiagonal form, then the QL algorithm
 * with implicit shifts (G. H. Golub, C. F. Van Loan, "Matrix Computations", sections 8.3.1 and 8.3.3).
 *
 * About `4 n^3` multiplications; 8 s for n = 1024. Memory: `24 n^2` bytes.
 *
 * @param matrix - `[n, n]`, symmetric
 * @param n - its size
 */
export function symmetricEigen(matrix: Float64Array, n: number): Eigen {
  // Elements of 1 at most: no square of them is too large, and none that matters too small.
  const scale = matrix.reduce((max, value) => Math.max(max, Math.abs(value)), 0) || 1;
  const scaled = matrix.map((value) => value / scale);
  const { diagonal, offDiagonal, basis } = tridiagonalize(scaled, n);
  diagonalize(diagonal, offDiagonal, basis, n);
  return inDescendingOrder(
    diagonal.map((value) => value * scale),
    basis,
    n,
  );
}

interface Tridiagonal {
  /** `[n]`. */
  readonly diagonal: Float64Array;
  /** `[n]`; element i is beside elements i and i + 1 of the diagonal. */
  readonly offDiagonal: Float64Array;
  /** `[n, n]`: the matrix is transpose(basis) * tridiagonal * basis. */
  readonly basis: Float64Array;
}

/** Works in the matrix it is given. */
function tridiagonalize(a: Float64Array, n: number): Tridiagonal {
  const reflectors: { vector: Float64Array; beta: number }[] = [];
  for (let column = 0; column < n - 2; column++) {
    const first = column + 1;
    const vector = new Float64Array(n);
    // A reflection has no length of its own: elements of 1 at most, so that no square of them vanishes.
    let largest = 0;
    for (let i = first; i < n; i++) largest = Math.max(largest, Math.abs(a[i * n + column]));
    let squares = 0;
    for (let i = first; i < n; i++) {
      vector[i] = largest === 0 ? 0 : a[i * n + column] / largest;
      squares += vector[i] * vector[i];
    }
    const length = vector[first] > 0 ? -Math.sqrt(squares) : Math.sqrt(squares);
    vector[first] -= length;
    const beta = length * vector[first] === 0 ? 0 : -1 / (length * vector[first]);
    reflectors.push({ vector, beta });
    if (beta === 0) continue;
    reflect(a, n, vector, beta, first);
    a[first * n + column] = length * largest;
    a[column * n + first] = length * largest;
  }
  const diagonal = Float64Array.from({ length: n }, (_, i) => a[i * n + i]);
  const offDiagonal = Float64Array.from({ length: n }, (_, i) => (i + 1 < n ? a[(i + 1) * n + i] : 0));
  return { diagonal, offDiagonal, basis: basisOf(reflectors, n) };
}

/** Applies `I - beta v v^T` from both sides to the rows and columns from `first` on. */
function reflect(a: Float64Array, n: number, v: Float64Array, beta: number, first: number): void {
  const w = new Float64Array(n);
  let product = 0;
  for (let i = first; i < n; i++) {
    let sum = 0;
    for (let j = first; j < n; j++) sum += a[i * n + j] * v[j];
    w[i] = beta * sum;
    product += w[i] * v[i];
  }
  for (let i = first; i < n; i++) w[i] -= 0.5 * beta * product * v[i];
  for (let i = first; i < n; i++) {
    for (let j = first; j < n; j++) a[i * n + j] -= v[i] * w[j] + w[i] * v[j];
  }
}

/** The product of all reflections, transposed: one basis vector a row, so that rotations work on whole rows. */
function basisOf(reflectors: readonly { vector: Float64Array; beta: number }[], n: number): Float64Array {
  const basis = new Float64Array(n * n);
  for (let i = 0; i < n; i++) basis[i * n + i] = 1;
  for (let k = reflectors.length - 1; k >= 0; k--) {
    const { vector, beta } = reflectors[k];
    for (let row = k + 1; row < n; row++) {
      let sum = 0;
      for (let j = k + 1; j < n; j++) sum += basis[row * n + j] * vector[j];
      sum *= beta;
      for (let j = k + 1; j < n; j++) basis[row * n + j] -= sum * vector[j];
    }
  }
  return basis;
}

/** QL with implicit shifts: the diagonal becomes the eigenvalues, the rows of the basis their eigenvectors. */
function diagonalize(d: Float64Array, e: Float64Array, basis: Float64Array, n: number): void {
  // What is below rounding beside the largest element counts as zero: small eigenvalues have no digits beyond that.
  const negligible =
    Number.EPSILON * d.reduce((max, value, i) => Math.max(max, Math.abs(value) + Math.abs(e[i])), 0);
  for (let l = 0; l < n; l++) {
    for (let iteration = 0; ; iteration++) {
      const m = endOfBlock(e, l, n, negligible);
      if (m === l) break;
      if (iteration === maxIterations) throw new RangeError('the eigenvalues do not converge');
      sweep(d, e, basis, n, l, m);
    }
  }
}

/** The first row from `l` on that nothing connects with the next one. */
function endOfBlock(e: Float64Array, l: number, n: number, negligible: number): number {
  let m = l;
  while (m < n - 1 && Math.abs(e[m]) > negligible) m++;
  return m;
}

function sweep(d: Float64Array, e: Float64Array, basis: Float64Array, n: number, l: number, m: number): void {
  // Wilkinson's shift.
  let g = (d[l + 1] - d[l]) / (2 * e[l]);
  const root = Math.hypot(g, 1);
  g = d[m] - d[l] + e[l] / (g + (g >= 0 ? root : -root));
  let [sine, cosine, shift] = [1, 1, 0];
  for (let i = m - 1; i >= l; i--) {
    const f = sine * e[i];
    const b = cosine * e[i];
    const r = Math.hypot(f, g);
    e[i + 1] = r;
    if (r === 0) {
      d[i + 1] -= shift;
      e[m] = 0;
      return;
    }
    sine = f / r;
    cosine = g / r;
    g = d[i + 1] - shift;
    const q = (d[i] - g) * sine + 2 * cosine * b;
    shift = sine * q;
    d[i + 1] = g + shift;
    g = cosine * q - b;
    rotate(basis, i * n, n, sine, cosine);
  }
  d[l] -= shift;
  e[l] = g;
  e[m] = 0;
}

/** Rotates the row that starts at `start` and the one after it. */
function rotate(basis: Float64Array, start: number, n: number, sine: number, cosine: number): void {
  for (let j = start; j < start + n; j++) {
    const lower = basis[j + n];
    basis[j + n] = sine * basis[j] + cosine * lower;
    basis[j] = cosine * basis[j] - sine * lower;
  }
}

function inDescendingOrder(d: Float64Array, basis: Float64Array, n: number): Eigen {
  const order = Array.from(d.keys()).sort((a, b) => d[b] - d[a]);
  const vectors = new Float64Array(n * n);
  for (const [to, from] of order.entries()) vectors.set(basis.subarray(from * n, (from + 1) * n), to * n);
  return { values: Float64Array.from(order, (i) => d[i]), vectors };
}
