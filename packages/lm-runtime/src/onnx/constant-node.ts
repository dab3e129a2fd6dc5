import type { FileNode } from './onnx-file.js';
import { packedVarints, protobufFields } from './protobuf-reader.js';

/** `AttributeProto.t`. */
const tensorField = 5;

/** Shape of the tensor that a `Constant` node holds; a single number has none. */
export function constantNodeShape(node: FileNode): readonly number[] | undefined {
  const [attribute] = node.attributes;
  if (attribute === undefined) return undefined;
  if (attribute.name === 'value_float' || attribute.name === 'value_int') return [];
  if (attribute.name !== 'value') return undefined;
  for (const field of protobufFields(attribute.encoded)) {
    if (field.number === tensorField) return tensorShape(field.bytes);
  }
  return undefined;
}

function tensorShape(tensor: Uint8Array): number[] {
  return [...protobufFields(tensor)]
    .filter((field) => field.number === 1)
    .flatMap((field) => (field.bytes.length === 0 ? [field.value] : packedVarints(field.bytes)));
}
