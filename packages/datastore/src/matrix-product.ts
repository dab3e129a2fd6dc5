import { availableParallelism } from 'node:os';
import { loadAddon } from './native-engine.js';

/** Rows and columns of the result, and how many products each of its elements is the sum of. */
export interface ProductShape {
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
}

/**
 * Adds the product of two matrices to a third: `c [rows, columns] += a [rows, inner] * b [inner, columns]`, all
 * row-major.
 *
 * Each element is its old value, to which the products are added in order, everything rounded to the arrays' precision:
 * the addon and TypeScript give the same bits.
 *
 * @param engine - insists on an engine; the addon is used where it loads
 */
export function multiplyAdd<T extends Float32Array | Float64Array>(
  a: T,
  b: T,
  c: T,
  shape: ProductShape,
  engine?: 'native' | 'portable',
): void {
  const { rows, columns, inner } = shape;
  const loaded = engine === 'portable' ? { reason: '' } : loadAddon();
  if (!('addon' in loaded)) return multiplyPortably(a, b, c, shape);
  const threads = availableParallelism();
  loaded.addon.multiplyAdd(a, b, c, rows, columns, inner, threads);
}

function multiplyPortably<T extends Float32Array | Float64Array>(
  a: T,
  b: T,
  c: T,
  { rows, columns, inner }: ProductShape,
): void {
  // A product of two float32 in float64 is exact, and adding a float32 to its rounding rounds once when stored.
  const round = c instanceof Float32Array ? Math.fround : (value: number) => value;
  for (let i = 0; i < rows; i++) {
    const start = i * columns;
    for (let p = 0; p < inner; p++) {
      const factor = a[i * inner + p];
      for (let j = 0; j < columns; j++) c[start + j] += round(factor * b[p * columns + j]);
    }
  }
}
