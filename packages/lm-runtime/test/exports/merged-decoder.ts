import { ProtobufWriter } from '@knn-lm/checkpoint';
import { readOnnxFile, type OnnxFile } from '../../src/onnx/onnx-file.js';
import { exportPath } from './read-export.js';

/**
 * A decoder as Optimum merges it from two exports of the same model: one `If` on `use_cache_branch`, with the model that
 * continues keys and values in one branch, and the one that begins in the other. Both branches have outputs of the same
 * names as the `If`.
 */
export async function mergedDecoder(): Promise<Uint8Array> {
  const next = await readOnnxFile(exportPath('llama.past.opset17'));
  const first = await readOnnxFile(exportPath('llama.first.opset17'));
  const node = new ProtobufWriter().string(1, 'use_cache_branch');
  for (const { name } of next.outputs) node.string(2, name);
  node.string(3, 'optimum::if').string(4, 'If');
  node.message(5, branch('then_branch', next)).message(5, branch('else_branch', first));
  const graph = new ProtobufWriter().message(1, node).string(2, 'merged');
  for (const { encoded } of next.inputs) graph.encoded(encoded);
  graph.message(11, booleanInput('use_cache_branch'));
  for (const { encoded } of next.outputs) graph.encoded(encoded);
  const model = new ProtobufWriter();
  for (const field of next.around) model.encoded(field);
  return model.message(7, graph).finish();
}

function branch(name: string, file: OnnxFile): ProtobufWriter {
  const body = new ProtobufWriter();
  for (const { encoded } of [...file.nodes, ...file.initializers, ...file.outputs]) body.encoded(encoded);
  const graphType = 5;
  return new ProtobufWriter().string(1, name).message(6, body.string(2, name)).int(20, graphType);
}

function booleanInput(name: string): ProtobufWriter {
  const boolean = 9;
  const shape = new ProtobufWriter().message(1, new ProtobufWriter().int(1, 1));
  const type = new ProtobufWriter().message(1, new ProtobufWriter().int(1, boolean).message(2, shape));
  return new ProtobufWriter().string(1, name).message(2, type);
}
