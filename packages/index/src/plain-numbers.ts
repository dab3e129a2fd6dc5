import { float32FromFloat16 } from '@knn-lm/common';
import type { VectorArray } from '@knn-lm/faiss';
import type { EngineTrainingRows } from './engine.js';
import { KnnIndexError } from './errors.js';

/** Plain arrays of numbers end at 2^27 elements in V8, with a fatal error; growing one needs half as much again. */
const MAX_NUMBERS = 2 ** 26;

/**
 * The plain array that `faiss-node` takes.
 *
 * @param vectors - rows
 * @param dimension - when given, rows with NaN or infinity are refused: adding one ends the process
 * @param firstNumber - where `vectors` begins in the caller's array, for the message
 * @throws {@link KnnIndexError} `KNN_INDEX_NOT_FINITE` with the row
 */
export function plainNumbers(vectors: VectorArray, dimension?: number, firstNumber = 0): number[] {
  const singles = vectors instanceof Uint16Array ? float32FromFloat16(vectors) : vectors;
  if (dimension !== undefined) {
    const at = singles.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) {
      const row = Math.floor((firstNumber + at) / dimension);
      throw new KnnIndexError('KNN_INDEX_NOT_FINITE', `a vector has NaN or infinity (row ${row})`, {
        details: { row },
      });
    }
  }
  return Array.from(singles);
}

/** Training rows in JavaScript's memory, for `faiss-node`. */
export class PlainTrainingRows implements EngineTrainingRows {
  /** `[rows, dimension]`. */
  numbers: Float32Array;
  readonly #dimension: number;

  /**
   * @throws {@link KnnIndexError} `KNN_INDEX_ENGINE_LIMIT` when `faiss-node` could not take so many
   */
  constructor(rows: number, dimension: number) {
    if (rows * dimension > MAX_NUMBERS) {
      const most = Math.floor(MAX_NUMBERS / dimension);
      throw new KnnIndexError(
        'KNN_INDEX_ENGINE_LIMIT',
        `training on ${rows} keys of ${dimension} dimensions is more than faiss-node can be given`,
        {
          hint: `Train on at most ${most} keys (--num-trained-keys ${most}), or use the native engine.`,
          details: { found: rows, maximum: most },
        },
      );
    }
    this.numbers = new Float32Array(rows * dimension);
    this.#dimension = dimension;
  }

  set(vectors: VectorArray, positions: Float64Array): void {
    const singles = vectors instanceof Uint16Array ? float32FromFloat16(vectors) : vectors;
    const d = this.#dimension;
    positions.forEach((position, i) => {
      const vector = singles.subarray(i * d, (i + 1) * d);
      if (!vector.every(Number.isFinite)) {
        throw new KnnIndexError('KNN_INDEX_NOT_FINITE', `a vector has NaN or infinity (row ${i})`, {
          details: { row: i },
        });
      }
      this.numbers.set(vector, position * d);
    });
  }

  close(): void {
    this.numbers = new Float32Array(0);
  }
}
