/**
 * A thin native binding to Faiss: typed arrays in and out, work off the event loop.
 *
 * @packageDocumentation
 */
export { FaissIndex } from './faiss-index.js';
export { type IvfPqOptions, type CallOptions, type ReadOptions, type SearchResult } from './index-options.js';
export { mergeIndexFiles, type IndexPart, type MergeOptions } from './merge-index-files.js';
export { type TrainOptions } from './train.js';
export { TrainingRows } from './training-rows.js';
export {
  planIvfPqTraining,
  trainingRowOrder,
  randomPermutation,
  type TrainingPlan,
} from './training-plan.js';
export {
  readIndexFileHeader,
  type IndexFileHeader,
  type FlatHeader,
  type IvfFlatHeader,
  type IvfPqHeader,
  type OtherHeader,
} from './index-file.js';
export { type ListsFile } from './lists-file.js';
export { type VectorArray } from './arguments.js';
export { FaissError } from './errors.js';
export { requireAddon } from './native.js';
export { faissInfo, type FaissInfo } from './faiss-info.js';
