/**
 * fairseq's data format: dictionary, line tokenizer, `.bin`/`.idx` datasets, token blocks and batches, preprocessing.
 *
 * @packageDocumentation
 */
export { BinarizerError } from './errors.js';
export { Dictionary } from './dictionary.js';
export type { TokenDataset } from './token-dataset.js';
export type { DatasetFormat } from './dataset-index.js';
export { openDataset, openDataBin, type DataBin, type OpenDatasetOptions } from './open-dataset.js';
export { countTokens, inspectSentences, type InspectedSentence } from './inspect.js';
export { breakModes, type BreakMode } from './token-blocks.js';
export type { ShortenMethod } from './shortened-dataset.js';
export type { LmBatchOptions } from './lm-batch-options.js';
export { planLmBatches, type LmBatch, type LmBatchPlan, type SamplePlace } from './lm-batches.js';
export { preprocess, type PreprocessResult, type WrittenSplit } from './preprocess.js';
export type { PreprocessOptions } from './preprocess-options.js';
export type { TextSummary } from './preprocess-log.js';
export { readTokenMap, type TokenMap } from './token-map.js';
export { openTokenDecoder, type TokenDecoder } from './tokenizer-data.js';
export { writeDataset, type WriteDatasetOptions } from './write-dataset.js';
export type { BinaryFormat } from './dataset-writer.js';
export type { ElementName } from './element-type.js';
