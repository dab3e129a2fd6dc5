/**
 * The interpolating scorer of a kNN-LM: p = lambda * p_kNN + (1 - lambda) * p_LM.
 *
 * @packageDocumentation
 */
export { KnnError } from './errors.js';
export {
  checkSettings,
  interpolate,
  knnProbability,
  missingDistance,
  type Neighbors,
  type RetrievedNeighbors,
} from './probability.js';
export { Retriever, type RetrieverOptions } from './retriever.js';
export { scoreTokens, type ScoreOptions, type ScoredBatch } from './score.js';
export {
  evaluate,
  evaluateEach,
  mixedLogProbs,
  checkMixing,
  LossSum,
  type BatchListener,
  type EachEvaluation,
  type Evaluation,
  type EvaluateOptions,
  type Interpolation,
} from './evaluate.js';
export { type UnitRange } from './score-units.js';
export {
  evaluateShard,
  type EvaluateShardOptions,
  type IndexShard,
  type ShardOutcome,
} from './evaluate-shard.js';
export { reduceEvaluation, type ReducedEvaluation } from './reduce-evaluation.js';
export { type PartialIdentity } from './partial-file.js';
export { mixBatch, nearestDistance, type LambdaFunction, type Mixing, type Mixture } from './mixture.js';
export { SoftmaxGrid } from './softmax-grid.js';
export { LossGrid } from './loss-grid.js';
export { tune, type TuneGrid, type TuneOptions, type TuneOutcome, type TuneResult } from './tune.js';
export { type Fits, type FittedResult } from './tune-fits.js';
export { type FloatColumnsOptions } from './float-columns.js';
export {
  fitMixtureWeight,
  expectationStep,
  type PairedProbs,
  type WeightPrior,
  type FittedWeight,
} from './mixture-weight.js';
export {
  fitAdaptiveLambda,
  lambdaFunction,
  type AdaptiveLambda,
  type AdaptiveOptions,
  type DistancedProbs,
} from './adaptive-lambda.js';
export {
  generateDatastore,
  countDatastoreRows,
  contextIsComplete,
  type DatastorePlan,
  type GenerateResult,
} from './generate-datastore.js';
export { scoredPositions, type BatchPositions, type ScoredSample } from './positions.js';
export { TextPlaces, type TextPlace, type TokenRange } from './text-places.js';
export { DatastoreText, type DatastoreTextOptions } from './datastore-text.js';
export {
  TokenRecorder,
  neighborShares,
  type NeighborRecord,
  type TokenRecord,
  type TokenRecorderOptions,
} from './token-record.js';
export {
  inspectTokens,
  type InspectOptions,
  type Inspection,
  type RangeSelection,
  type ExtremeSelection,
  type TokenSelection,
} from './inspect-tokens.js';
export { planTokens } from './sub-plan.js';
export { writeJsonLines, type JsonLinesWriter } from './json-lines.js';
export {
  readSettings,
  writeSettings,
  checkKnnSettings,
  compareFingerprints,
  checkFingerprints,
  type KnnSettings,
  type SettingsFile,
  type SettingsFingerprints,
  type SettingsMismatch,
  type SettingsResult,
} from './settings.js';
export { generate, type GenerateOptions, type GeneratedToken } from './generate.js';
export { knnDistribution } from './generate-mixture.js';
export type { Sampling } from './generate-sampling.js';
export { measureModelRate, type ModelRate, type ModelRateOptions } from './estimate/model-rate.js';
export { measureWritingRate } from './estimate/writing-rate.js';
export { measureMixingRate } from './estimate/mixing-rate.js';
export { measureResources, type Resources } from './estimate/resources.js';
export {
  estimateSizes,
  estimateStages,
  type MeasuredRates,
  type PlannedRun,
  type RunSizes,
  type StageSeconds,
} from './estimate/estimate.js';
