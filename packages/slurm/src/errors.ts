import { KnnLmError, type KnnLmErrorOptions } from '@knn-lm/common';

/**
 * Thrown when a recipe cannot be run as Slurm jobs.
 *
 * Codes: `SLURM_RECIPE`, `SLURM_SITE`, `SLURM_PLAN_CHANGED`, `SLURM_NO_RUN`, `SLURM_TASK`, `SLURM_SUBMIT`,
 * `SLURM_STAGE_FAILED`.
 */
export class SlurmError extends KnnLmError {
  /** `SlurmError`. */
  override readonly name = 'SlurmError';

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
