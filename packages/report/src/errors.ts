import { KnnLmError, type KnnLmErrorOptions } from '@knn-lm/common';

/**
 * Thrown when a report cannot be made of what is given.
 *
 * Codes: `REPORT_WITHOUT_NEIGHBORS`, `REPORT_EMPTY`, `REPORT_SETTING`.
 */
export class ReportError extends KnnLmError {
  /** `ReportError`. */
  override readonly name = 'ReportError';

  /**
   * Makes an error.
   *
   * @param code - stable identifier
   * @param message - what was wrong
   * @param options - hint, details and cause
   */
  constructor(code: string, message: string, options?: KnnLmErrorOptions) {
    super(code, message, options);
  }
}
