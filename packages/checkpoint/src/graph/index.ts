export type { GraphPurpose, GraphRequest, KeysDtype, Precision } from './build-graph.js';
export { ensureGraph, graphBytes, type GraphFolder } from './ensure-graph.js';
export {
  capturableModules,
  defaultModule,
  findModule,
  listModules,
  type CapturableModule,
} from './modules.js';
export { cacheShape, type CacheShape } from './step-attention.js';
export { stepCacheNames, type StepCacheNames } from './step-graph.js';
