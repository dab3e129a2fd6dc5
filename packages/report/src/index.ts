/**
 * What the neighbours of a kNN-LM did for a text: gathered while the evaluation runs, shown as one page that needs no
 * server and no network.
 *
 * @packageDocumentation
 */
export { ReportError } from './errors.js';
export { ReportCollector, type CollectorOptions, type ReportBatch, type ReportEnding } from './collector.js';
export { findDocuments, type DocumentMap, type DocumentText, type Words } from './document-map.js';
export { type PassageOptions } from './passage-picker.js';
export { type ContextOf, type NeighborContext } from './passage-writer.js';
export type * from './report-data.js';
export { renderReport } from './page/render-report.js';
