/**
 * fairseq's data format: dictionary, line tokenizer, `.bin`/`.idx` datasets, token blocks and batches, preprocessing.
 *
 * @packageDocumentation
 */
export { BinarizerError } from './errors.js';
export { Dictionary, type FinalizeOptions, type WordCounts } from './dictionary.js';
export type { TokenDataset } from './token-dataset.js';
export type { DatasetFormat } from './dataset-index.js';
export { openDataset, openDataBin, type DataBin, type OpenDatasetOptions } from './open-dataset.js';
export type { BreakMode } from './token-blocks.js';
export type { LmBatchOptions } from './lm-batch-options.js';
export { planLmBatches, type LmBatch, type LmBatchPlan } from './lm-batches.js';
