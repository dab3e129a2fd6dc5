/**
 * Runs a fairseq language model: token windows in, hidden states and target log-probabilities out.
 *
 * @packageDocumentation
 */
export { LanguageModel } from './language-model.js';
export type { LanguageModelInfo, LanguageModelOptions, LmRunResult } from './language-model.js';
export type { LmRunBatch } from './batch.js';
export type { Device } from './device.js';
export { LmRuntimeError } from './errors.js';
export { listModules } from './list-modules.js';
