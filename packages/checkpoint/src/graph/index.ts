export type { GraphPurpose, KeysDtype } from './build-graph.js';
export { derivedTensors } from './derived-tensors.js';
export { ensureGraph, type GraphFolder } from './ensure-graph.js';
export {
  capturableModules,
  defaultModule,
  findModule,
  listModules,
  type CapturableModule,
} from './modules.js';
