import { KnnLmError } from '@knn-lm/common';

/** Thrown by this package for bad text, dictionaries, datasets and options; see {@link KnnLmError} for its fields. */
export class BinarizerError extends KnnLmError {
  override readonly name: string = 'BinarizerError';
}
