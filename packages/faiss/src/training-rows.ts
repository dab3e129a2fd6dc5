import { checkInteger, checkVectors, MAX_DIMENSION, type VectorArray } from './arguments.js';
import { describeNativeError, FaissError } from './errors.js';
import { loadAddon, type NativeTrainingRows } from './native.js';

/**
 * The vectors an index is trained on, in single precision outside of JavaScript's heap; filled piece by piece and in
 * any order, so that a datastore can be read from front to back.
 *
 * Memory: `rows * dimension * 4` bytes until {@link TrainingRows.close}.
 */
export class TrainingRows {
  /** Dimensions of a vector. */
  readonly dimension: number;
  /** Vectors there will be. */
  readonly rows: number;
  /** @internal */
  readonly native: NativeTrainingRows;

  /**
   * @param dimension - dimensions of a vector
   * @param rows - vectors there will be
   * @throws {@link FaissError} `FAISS_OUT_OF_MEMORY`
   */
  constructor(dimension: number, rows: number) {
    checkInteger('the dimension', dimension, 1, MAX_DIMENSION);
    checkInteger('the number of training vectors', rows, 1, 2 ** 31 - 1);
    this.dimension = dimension;
    this.rows = rows;
    try {
      this.native = new (loadAddon().TrainingRows)(dimension, rows);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      const gigabytes = ((rows * dimension * 4) / 2 ** 30).toFixed(1);
      throw new FaissError(
        'FAISS_OUT_OF_MEMORY',
        `training on ${rows} vectors needs ${gigabytes} GiB of memory`,
        {
          hint: 'Train on fewer vectors, or with fewer centroids.',
          details: { rows, dimension },
          cause,
        },
      );
    }
  }

  /** Rows that have been set. */
  get filledRows(): number {
    return this.native.filledRows;
  }

  /**
   * Copies vectors to their places.
   *
   * @param vectors - `[n, dimension]`
   * @param positions - `[n]` the row that each becomes
   * @throws {@link FaissError} `FAISS_NOT_FINITE`, `FAISS_TOO_LARGE` with the row of `vectors`
   */
  set(vectors: VectorArray, positions: Float64Array): void {
    const count = checkVectors('training vectors', vectors, this.dimension);
    if (positions.length !== count) {
      throw new FaissError('FAISS_ARGUMENT', `${positions.length} positions for ${count} vectors`, {
        hint: 'Give one position for each vector.',
      });
    }
    for (const position of positions) checkInteger('a position', position, 0, this.rows - 1);
    try {
      this.native.set(vectors, positions);
    } catch (cause) {
      throw describeNativeError(cause, 'take a training vector');
    }
  }

  /** Gives the memory back, at the latest when a training that uses it has ended. */
  close(): void {
    this.native.close();
  }
}
