/**
 * Reads fairseq checkpoints without Python and without executing anything in them, and turns them into model folders:
 * ONNX graphs with one weights file.
 *
 * @packageDocumentation
 */
export {
  layerNormEpsilon,
  type Activation,
  type AdaptiveBands,
  type LmArchitecture,
  type Positions,
} from './architecture.js';
export { CheckpointError } from './errors.js';
export { openCheckpoint, type OpenCheckpointOptions } from './open-checkpoint.js';
export { convertCheckpoint, type ConvertOptions } from './folder/convert-checkpoint.js';
export { resolveModelFolder, type ResolveOptions } from './folder/resolve-model-folder.js';
export { openModelFolder } from './folder/open-model-folder.js';
export type { ModelOverrides } from './config/model-settings.js';
export { bandSizes, expectedTensors, tiedTensors, type TensorShapes } from './tensor-names.js';
export type {
  Checkpoint,
  CheckpointTensor,
  FloatDtype,
  ModelFolder,
  ModelSource,
  WeightEntry,
} from './weights.js';
export { ensureInt8Folder, type Int8FolderOptions } from './int8/ensure-int8-folder.js';
export { ensureInt8Weights, type Int8Source } from './int8/ensure-int8-weights.js';
export * from './graph/index.js';
export * from './onnx/index.js';
