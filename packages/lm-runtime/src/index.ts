/**
 * Runs a causal language model: token windows in, hidden states and target log-probabilities out; or step by step, with
 * the distribution of what comes next.
 *
 * @packageDocumentation
 */
export { LanguageModel } from './language-model.js';
export type { LanguageModelOptions } from './language-model.js';
export type { LanguageModelInfo, ModelOptions } from './model-options.js';
export { GenerationModel, type GenerationModelOptions } from './generation-model.js';
export type { Generation } from './generation.js';
export type { LmRunResult } from './run-contract.js';
export type { LmRunBatch } from './batch.js';
export type { Precision } from '@knn-lm/checkpoint';
export type { Device } from './device.js';
export { LmRuntimeError } from './errors.js';
export { listModules } from './list-modules.js';
export { runtimeInfo, type DeviceInfo, type RuntimeInfo } from './runtime-info.js';
