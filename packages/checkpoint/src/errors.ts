import { KnnLmError } from '@knn-lm/common';

/** Thrown for a checkpoint or model folder that cannot be read, is damaged, or holds a model that is not supported. */
export class CheckpointError extends KnnLmError {
  override readonly name = 'CheckpointError';
}
