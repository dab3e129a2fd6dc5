import { KnnLmError, type KnnLmErrorOptions } from '@knn-lm/common';

/**
 * Thrown when the pieces of a kNN-LM do not fit together, or a setting makes no sense.
 *
 * Codes: `LAMBDA_RANGE`, `TEMPERATURE_RANGE`, `NEIGHBORS_RANGE`, `EMPTY_GRID`, `NOTHING_TO_SCORE`,
 * `DATASTORE_SIZE`, `DATASTORE_TEXT`, `TEXT_POSITION`, `NOTHING_SELECTED`, `SETTINGS_FORMAT`, `SETTINGS_MISMATCH`,
 * `SAMPLING_RANGE`, `MAX_TOKENS`, `NOTHING_TO_CHOOSE`,
 * `PARTIAL_FORMAT`, `PARTIAL_DAMAGED`, `PARTIAL_MISMATCH`, `PARTIAL_SHARDS`.
 */
export class KnnError extends KnnLmError {
  /** `KnnError`. */
  override readonly name = 'KnnError';

  /**
   * Makes an error.
   *
   * @param code - stable identifier
   * @param message - what was wrong, with both values
   * @param options - hint, details and cause
   */
  constructor(code: string, message: string, options?: KnnLmErrorOptions) {
    super(code, message, options);
  }
}
