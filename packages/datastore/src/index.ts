/**
 * The kNN-LM datastore on disk: `keys.npy`, `values.npy` and their manifest; append, resume, verify, read, and the
 * distances of queries to rows of it.
 *
 * @packageDocumentation
 */
export { DatastoreError } from './error.js';
export { type KeysDtype, type DatastoreShape } from './layout.js';
export { type DatastoreIdentity } from './identity.js';
export {
  readManifest,
  type Manifest,
  type Segment,
  type DatastoreText,
  type AppendingText,
  type DatastorePart,
} from './manifest.js';
export { textsOf, type PlacedText } from './texts.js';
export { DatastoreWriter, type DatastoreWriterOptions } from './writer.js';
export { Datastore, type SquaredDistanceOptions } from './datastore.js';
export { type DatastoreOpenOptions } from './open.js';
export { type QuickReport, type QuickVerifyOptions } from './quick-verify.js';
export { type WeightsReport } from './verify-weights.js';
export { verifyDatastore, type VerifyOptions, type DatastoreReport } from './verify.js';
export { maxProblems, type DatastoreProblem, type ProblemCounts } from './problems.js';
export { ValueWeights } from './value-weights.js';
export { mergeDatastores, type MergeOptions } from './merge.js';
export { linkDatastores, type LinkOptions } from './link.js';
export { type Derived, type DeriveOptions } from './derive.js';
export { dedupDatastore, type Deduped, type DedupOptions } from './dedup.js';
export { selectRows, type RowSelection, type SelectOptions } from './select.js';
export {
  greedyMerge,
  type GreedyMergeOptions,
  type FoundNeighbors,
  type NeighborSource,
} from './greedy-merge.js';
export { pruneToRows } from './prune.js';
export { KeyTransform, transformName, type KeyTransformParts } from './key-transform.js';
export { reduceDimensions, type Reduced, type ReduceOptions } from './reduce-dimensions.js';
export {
  measureDistanceRate,
  distanceEngine,
  type DistanceEngine,
  type DistanceRateOptions,
} from './distance-rate.js';
export { releaseFreeMemory } from './free-memory.js';
export { type WeightReader } from './source-weights.js';
