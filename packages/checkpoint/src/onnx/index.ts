export { encodeGraph, encodeModel, encodeNode } from './encode-model.js';
export {
  GraphBuilder,
  runtimeDomain,
  type NodeOptions,
  type StoredTensor,
  type Value,
} from './graph-builder.js';
export type {
  Axis,
  ElementType,
  ExternalData,
  OnnxAttribute,
  OnnxFloat,
  OnnxGraph,
  OnnxModel,
  OnnxNode,
  OnnxTensor,
  OnnxValueInfo,
} from './model.js';
export { ProtobufWriter } from './protobuf-writer.js';
