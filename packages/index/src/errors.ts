import { KnnLmError } from '@knn-lm/common';

/** Thrown by this package: an index that does not fit its datastore or what was asked for. */
export class KnnIndexError extends KnnLmError {
  override readonly name = 'KnnIndexError';
}
