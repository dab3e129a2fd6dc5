import type { TaskOptions } from '@knn-lm/common';
import { covarianceOf } from './covariance.js';
import type { Datastore } from './datastore.js';
import { KeyTransform } from './key-transform.js';
import { multiplyAdd } from './matrix-product.js';
import { randomRotation } from './random-rotation.js';
import { symmetricEigen } from './symmetric-eigen.js';

/** How a principal component analysis is done. */
export interface PcaOptions extends TaskOptions {
  /** Dimension of the result. */
  readonly dimension: number;
  /** Rotates the result at random, which spreads the variance over its dimensions, as product quantizers like it. */
  readonly randomRotation: boolean;
  /** Keys that it is computed from at most. */
  readonly limit: number;
  /** What it is made from, kept in the transform. */
  readonly madeFrom: string;
}

/** The seed of Faiss's random rotation after a PCA; the numbers drawn from it are others here. */
const rotationSeed = 5;

/** The map onto the directions of largest variance, and the share of the variance that they have. */
export async function trainPca(
  source: Datastore,
  options: PcaOptions,
): Promise<{ readonly transform: KeyTransform; readonly keptVariance: number; readonly rows: number }> {
  const input = source.dimension;
  const output = options.dimension;
  const { mean, covariance, rows } = await covarianceOf(source, options.limit, options);
  options.onProgress?.({ stage: 'eigenvectors', done: 0, total: 1, unit: 'matrices' });
  const { values, vectors } = symmetricEigen(covariance, input);
  options.onProgress?.({ stage: 'eigenvectors', done: 1, total: 1, unit: 'matrices' });
  const directions = vectors.subarray(0, output * input);
  fixSigns(directions, input);
  const weight = options.randomRotation ? rotated(directions, output, input) : directions;
  const bias = new Float64Array(output);
  multiplyAdd(weight.slice(), mean, bias, { rows: output, columns: 1, inner: input });
  const transform = new KeyTransform({
    weight: Float32Array.from(weight),
    bias: Float32Array.from(bias, (value) => -value),
    inputDimension: input,
    madeFrom: options.madeFrom,
  });
  const sum = (all: Float64Array) => all.reduce((total, value) => total + Math.max(0, value), 0);
  const whole = sum(values);
  return { transform, keptVariance: whole > 0 ? sum(values.subarray(0, output)) / whole : 1, rows };
}

/** An eigenvector may point either way: its largest element is made positive, so that equal keys give equal maps. */
function fixSigns(directions: Float64Array, dimension: number): void {
  for (let start = 0; start < directions.length; start += dimension) {
    const direction = directions.subarray(start, start + dimension);
    const largest = direction.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    if (largest < 0) for (let i = 0; i < dimension; i++) direction[i] = -direction[i];
  }
}

function rotated(directions: Float64Array, output: number, input: number): Float64Array {
  const result = new Float64Array(output * input);
  const shape = { rows: output, columns: input, inner: output };
  multiplyAdd(randomRotation(output, rotationSeed), directions.slice(), result, shape);
  return result;
}
