/**
 * What every package of knn-lm shares: the error base class, progress and logging, half precision, safe file access,
 * numpy's random numbers.
 *
 * @packageDocumentation
 */
export {
  KnnLmError,
  CancelledError,
  throwIfAborted,
  type ErrorDetails,
  type KnnLmErrorOptions,
} from './errors.js';
export { type Progress, type Logger, type TaskOptions, silentLogger } from './task.js';
export { float16FromNumber, float16FromFloat32, float32FromFloat16, numberFromFloat16 } from './float16.js';
export {
  writeFileAtomic,
  temporaryName,
  ensureFolder,
  describeFileError,
  RandomAccessFile,
} from './files.js';
export { Pcg64 } from './pcg64.js';
