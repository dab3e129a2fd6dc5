/**
 * The nearest-neighbour index of a datastore: sample, train, add, save, search, recompute distances.
 *
 * @packageDocumentation
 */
export { buildIndex, type BuildResult } from './build-index.js';
export { findChangedFiles } from './check-files.js';
export { findIndex, findShards, hasIndex, shardFile, INDEX_FILE, TRAINED_INDEX_FILE } from './index-files.js';
export { mergeIndexShards, type MergedIndex, type MergeShardsOptions } from './merge-shards.js';
export { checkIndexDatastore, type ComparedSource } from './index-datastore.js';
export { type SourceIdentity } from './source-identity.js';
export {
  readIndexRecord,
  writeIndexRecord,
  matchesDigest,
  recordPath,
  type IndexRecord,
} from './index-record.js';
export { digestFile, type FileDigest } from './file-digest.js';
export { PARTIAL_INDEX_FILE } from './partial-index.js';
export { type BuildOptions } from './build-options.js';
export { KnnIndex, type OpenOptions, type SearchOptions, type Neighbors } from './knn-index.js';
export {
  measureIndex,
  type IndexStatistics,
  type MeasureOptions,
  type MeasuredRecall,
} from './measure-index.js';
export {
  measureExactRates,
  measureIndexRates,
  estimateBuild,
  estimateSearch,
  estimateIndexBytes,
  type ExactRates,
  type IndexRates,
  type ProbedIndex,
  type BuildEstimate,
} from './index-rates.js';
export { describeLists, type ListStatistics } from './list-statistics.js';
export { exactNeighbors } from './exact-neighbors.js';
export { NeighborSearch, type NeighborSearchOptions } from './neighbor-search.js';
export { type KeySource, type DistanceSource } from './key-source.js';
export { sampleKeys } from './sample-keys.js';
export { RowSet } from './row-set.js';
export { type EngineName } from './engine.js';
export { KnnIndexError } from './errors.js';
export { faissInfo, FaissError, type FaissInfo } from '@knn-lm/faiss';
