import { KnnLmError } from '@knn-lm/common';

/** Thrown for a model that cannot be run, or a batch that does not fit it. */
export class LmRuntimeError extends KnnLmError {
  override readonly name = 'LmRuntimeError';
}
