import { ProtobufWriter } from '@knn-lm/checkpoint';
import { protobufFields } from '../../src/onnx/protobuf-reader.js';

/** Moves the elements of all large tensors of a model to another file, as exporters do for models of some gigabytes. */
export function withExternalData(
  model: Uint8Array,
  location: string,
): { model: Uint8Array; data: Uint8Array } {
  const pieces: Uint8Array[] = [];
  let end = 0;
  const moved = new ProtobufWriter();
  for (const field of protobufFields(model)) {
    if (field.number !== 7) {
      moved.encoded(field.encoded);
      continue;
    }
    const graph = new ProtobufWriter();
    for (const part of protobufFields(field.bytes)) {
      const elements = part.number === 5 ? rawData(part.bytes) : undefined;
      if (elements === undefined || elements.length < 64) {
        graph.encoded(part.encoded);
        continue;
      }
      graph.message(5, externalTensor(part.bytes, location, end, elements.length));
      pieces.push(elements);
      end += elements.length;
    }
    moved.message(7, graph);
  }
  return { model: moved.finish(), data: new Uint8Array(Buffer.concat(pieces)) };
}

function rawData(tensor: Uint8Array): Uint8Array | undefined {
  return [...protobufFields(tensor)].find((field) => field.number === 9)?.bytes;
}

function externalTensor(
  tensor: Uint8Array,
  location: string,
  offset: number,
  length: number,
): ProtobufWriter {
  const writer = new ProtobufWriter();
  for (const field of protobufFields(tensor)) if (field.number !== 9) writer.encoded(field.encoded);
  for (const [key, value] of Object.entries({ location, offset, length })) {
    writer.message(13, new ProtobufWriter().string(1, key).string(2, String(value)));
  }
  return writer.int(14, 1);
}
