/**
 * Runs a fairseq language model: token windows in, hidden states and target log-probabilities out.
 *
 * @packageDocumentation
 */
export { LanguageModel } from './language-model.js';
export type { LanguageModelInfo, LanguageModelOptions } from './language-model.js';
export type { LmRunResult } from './run-contract.js';
export type { LmRunBatch } from './batch.js';
export type { Precision } from '@knn-lm/checkpoint';
export type { Device } from './device.js';
export { LmRuntimeError } from './errors.js';
export { listModules } from './list-modules.js';
