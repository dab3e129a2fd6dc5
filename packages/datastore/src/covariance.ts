import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import type { Datastore } from './datastore.js';
import { multiplyAdd } from './matrix-product.js';

/** Rows that are taken together: consecutive on the disk. */
const blockRows = 512;

/** Mean and covariance of keys. */
export interface Covariance {
  /** `[dimension]`. */
  readonly mean: Float64Array;
  /** `[dimension, dimension]`, symmetric. */
  readonly covariance: Float64Array;
  /** Keys that were looked at. */
  readonly rows: number;
}

/**
 * Mean and covariance of a datastore's keys, in double precision, from at most `limit` keys: blocks of 512 consecutive
 * ones, spread evenly over the datastore.
 *
 * The first key is subtracted from all, so that a mean far from zero costs no precision (T. F. Chan, G. H. Golub,
 * R. J. LeVeque, "Algorithms for Computing the Sample Variance", 1983). Memory: `8 d^2 + 16 KiB d` bytes for `d`
 * dimensions.
 */
export async function covarianceOf(
  source: Datastore,
  limit: number,
  { signal, onProgress }: TaskOptions,
): Promise<Covariance> {
  const { dimension } = source;
  const origin = source.readKeys(0, 1);
  const sums = new Float64Array(dimension);
  const squares = new Float64Array(dimension * dimension);
  const blocks = planBlocks(source.rows, limit);
  const total = blocks.reduce((sum, { rows }) => sum + rows, 0);
  let done = 0;
  for (const { start, rows } of blocks) {
    throwIfAborted(signal, 'stopped while the covariance was computed');
    addBlock(source.readKeys(start, rows), origin, sums, squares, rows);
    done += rows;
    onProgress?.({ stage: 'covariance', done, total, unit: 'keys' });
    await new Promise((resolve) => setImmediate(resolve));
  }
  for (let i = 0; i < dimension; i++) {
    for (let j = 0; j < dimension; j++)
      squares[i * dimension + j] = squares[i * dimension + j] / total - (sums[i] / total) * (sums[j] / total);
  }
  return { mean: sums.map((sum, i) => sum / total + origin[i]), covariance: squares, rows: total };
}

function planBlocks(rows: number, limit: number): { start: number; rows: number }[] {
  const all = Math.ceil(rows / blockRows);
  const wanted = rows <= limit ? all : Math.max(1, Math.floor(limit / blockRows));
  return Array.from({ length: wanted }, (_, i) => {
    const start = Math.floor((i * all) / wanted) * blockRows;
    return { start, rows: Math.min(blockRows, rows - start) };
  });
}

function addBlock(
  keys: Float32Array,
  origin: Float32Array,
  sums: Float64Array,
  squares: Float64Array,
  rows: number,
): void {
  const dimension = origin.length;
  const centered = new Float64Array(keys.length);
  const transposed = new Float64Array(keys.length);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < dimension; i++) {
      const value = keys[row * dimension + i] - origin[i];
      centered[row * dimension + i] = value;
      transposed[i * rows + row] = value;
      sums[i] += value;
    }
  }
  multiplyAdd(transposed, centered, squares, { rows: dimension, columns: dimension, inner: rows });
}
