/**
 * The nearest-neighbour index of a datastore: sample, train, add, save, search, recompute distances.
 *
 * @packageDocumentation
 */
export { buildIndex, INDEX_FILE, TRAINED_INDEX_FILE, type BuildResult } from './build-index.js';
export { type BuildOptions } from './build-options.js';
export { KnnIndex, type OpenOptions, type Neighbors } from './knn-index.js';
export { NeighborSearch, type NeighborSearchOptions } from './neighbor-search.js';
export { type KeySource, type DistanceSource } from './key-source.js';
export { sampleKeys } from './sample-keys.js';
export { RowSet } from './row-set.js';
export { type EngineName } from './engine.js';
export { KnnIndexError } from './errors.js';
