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
  mixedLogProbs,
  checkMixing,
  LossSum,
  type BatchListener,
  type Evaluation,
  type EvaluateOptions,
  type Interpolation,
} from './evaluate.js';
export { mixBatch, nearestDistance, type LambdaFunction, type Mixing, type Mixture } from './mixture.js';
export { tune, type TuneGrid, type TuneOutcome, type TuneResult } from './tune.js';
export {
  generateDatastore,
  countDatastoreRows,
  contextIsComplete,
  type DatastorePlan,
  type GenerateResult,
} from './generate-datastore.js';
export { scoredPositions, type BatchPositions, type ScoredSample } from './positions.js';
