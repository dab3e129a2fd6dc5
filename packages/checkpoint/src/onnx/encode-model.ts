// Field numbers: https://github.com/onnx/onnx/blob/v1.16.0/onnx/onnx.proto3
import {
  elementTypes,
  type Axis,
  type ExternalData,
  type OnnxAttribute,
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxValueInfo,
} from './model.js';
import { ProtobufWriter } from './protobuf-writer.js';

/** ONNX 1.16, which introduced operator set 21. */
const irVersion = 10;

/** `onnx.AttributeProto.AttributeType`. */
const attributeTypes = { float: 1, int: 2, string: 3, graph: 5, ints: 7 } as const;

/** `onnx.TensorProto.DataLocation.EXTERNAL`. */
const externalLocation = 1;

/**
 * Encodes a model as the bytes of an `.onnx` file. The same model always gives the same bytes.
 *
 * @param model - the model; large tensors only name their byte range of another file
 */
export function encodeModel(model: OnnxModel): Uint8Array {
  const writer = new ProtobufWriter().int(1, irVersion).string(2, 'knn-lm');
  writer.message(7, encodeGraph(model.graph));
  for (const [domain, version] of Object.entries(model.operatorSets)) {
    writer.message(8, new ProtobufWriter().string(1, domain).int(2, version));
  }
  for (const [key, value] of Object.entries(model.metadata)) writer.message(14, encodePair(key, value));
  return writer.finish();
}

/** Encodes a graph as the fields of a `GraphProto`, which may be added to those of another graph. */
export function encodeGraph(graph: OnnxGraph): ProtobufWriter {
  const writer = new ProtobufWriter();
  for (const node of graph.nodes) writer.message(1, encodeNode(node));
  writer.string(2, graph.name);
  for (const tensor of graph.initializers) writer.message(5, encodeTensor(tensor));
  for (const input of graph.inputs) writer.message(11, encodeValueInfo(input));
  for (const output of graph.outputs) writer.message(12, encodeValueInfo(output));
  return writer;
}

/** Encodes an operation as the content of a `NodeProto`. */
export function encodeNode(node: OnnxNode): ProtobufWriter {
  const writer = new ProtobufWriter();
  for (const input of node.inputs) writer.string(1, input);
  for (const output of node.outputs) writer.string(2, output);
  writer.string(3, node.name).string(4, node.operator);
  for (const [name, value] of Object.entries(node.attributes)) {
    writer.message(5, encodeAttribute(name, value));
  }
  for (const attribute of node.encodedAttributes ?? []) writer.bytes(5, attribute);
  return node.domain === '' ? writer : writer.string(7, node.domain);
}

function encodeAttribute(name: string, value: OnnxAttribute): ProtobufWriter {
  const writer = new ProtobufWriter().string(1, name);
  if (typeof value === 'number') return writer.int(3, value).int(20, attributeTypes.int);
  if (typeof value === 'string') return writer.string(4, value).int(20, attributeTypes.string);
  if (isNumberList(value)) return writer.ints(8, value).int(20, attributeTypes.ints);
  if ('float' in value) return writer.float(2, value.float).int(20, attributeTypes.float);
  return writer.message(6, encodeGraph(value)).int(20, attributeTypes.graph);
}

function isNumberList(value: OnnxAttribute): value is readonly number[] {
  return Array.isArray(value);
}

function encodeTensor(tensor: OnnxTensor): ProtobufWriter {
  const writer = new ProtobufWriter();
  if (tensor.shape.length > 0) writer.ints(1, tensor.shape);
  writer.int(2, elementTypes[tensor.type]).string(8, tensor.name);
  if (tensor.data instanceof Uint8Array) return writer.bytes(9, tensor.data);
  for (const [key, value] of externalPairs(tensor.data)) writer.message(13, encodePair(key, value));
  return writer.int(14, externalLocation);
}

function externalPairs(data: ExternalData): [key: string, value: string][] {
  return [
    ['location', data.location],
    ['offset', String(data.byteOffset)],
    ['length', String(data.byteLength)],
  ];
}

function encodeValueInfo(value: OnnxValueInfo): ProtobufWriter {
  const shape = new ProtobufWriter();
  for (const axis of value.shape) shape.message(1, encodeAxis(axis));
  const tensorType = new ProtobufWriter().int(1, elementTypes[value.type]).message(2, shape);
  return new ProtobufWriter().string(1, value.name).message(2, new ProtobufWriter().message(1, tensorType));
}

function encodeAxis(axis: Axis): ProtobufWriter {
  return typeof axis === 'number' ? new ProtobufWriter().int(1, axis) : new ProtobufWriter().string(2, axis);
}

function encodePair(key: string, value: string): ProtobufWriter {
  return new ProtobufWriter().string(1, key).string(2, value);
}
