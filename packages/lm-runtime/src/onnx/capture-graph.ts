import {
  encodeGraph,
  GraphBuilder,
  ProtobufWriter,
  type OnnxValueInfo,
  type Value,
} from '@knn-lm/checkpoint';
import type { KeysDtype } from '@knn-lm/checkpoint';
import { neededFor, type GraphIndex } from './graph-index.js';
import type { FileValue } from './onnx-file.js';
import type { OutputLayer } from './output-layer.js';
import { describeDistribution, describeLogProbabilities } from './score-graph.js';

/** Begins the names of everything that is added, so that it meets no name of the model. */
const prefix = 'knn-lm/';

/** Names of the inputs and outputs that are added. */
export const addedNames = {
  rows: `${prefix}rows`,
  targets: `${prefix}targets`,
  softmaxBatch: `${prefix}softmax_batch`,
  keys: `${prefix}keys`,
  logProbs: `${prefix}log_probs`,
} as const;

/** What is wanted of the graph. */
export interface CaptureRequest {
  /** Value that is captured. */
  readonly captured: string;
  /** Precision of the keys. */
  readonly keysDtype: KeysDtype;
  /** The output layer, where log-probabilities are wanted too. */
  readonly outputLayer: OutputLayer | undefined;
  /**
   * Log-probabilities of all tokens `[n, vocabulary]` instead of those of targets.
   * @default false
   */
  readonly allTokens?: boolean | undefined;
  /** Outputs of the model that are given as they are. */
  readonly outputs?: readonly FileValue[] | undefined;
}

/** A graph for a model, and the model's own inputs that it needs. */
export interface CaptureGraph {
  /** Bytes of an `.onnx` file; large weights stay where they are. */
  readonly bytes: Uint8Array;
  /** Inputs of the model that are fed. */
  readonly inputs: readonly FileValue[];
}

/**
 * A graph that gives the captured hidden states of the wanted positions, and the log-probabilities of their targets. The
 * model's operations and weights are copied as they are, but for those that neither of these needs: ONNX Runtime would
 * compute them all the same.
 *
 * @param graph - the model
 * @param request - what is wanted
 */
export function captureGraph(graph: GraphIndex, request: CaptureRequest): CaptureGraph {
  const { captured, outputLayer, outputs = [] } = request;
  const layerInputs = (outputLayer?.nodes ?? []).flatMap((node) => node.inputs.filter((name) => name !== ''));
  const layerValues = new Set(outputLayer?.nodes.flatMap((node) => node.outputs));
  const wanted = [
    'input_ids',
    captured,
    ...(outputLayer === undefined ? [] : [outputLayer.features]),
    // What the output layer reads beside the hidden states: weights.
    ...layerInputs.filter((name) => !layerValues.has(name)),
    ...outputs.map(({ name }) => name),
  ];
  const { nodes, names } = neededFor(graph, wanted);
  const { file } = graph;
  const inputs = file.inputs.filter((input) => names.has(input.name));
  const writer = new ProtobufWriter();
  for (const node of nodes) writer.encoded(node.encoded);
  for (const tensor of file.initializers) if (names.has(tensor.name)) writer.encoded(tensor.encoded);
  for (const value of [...inputs, ...outputs]) writer.encoded(value.encoded);
  const added = encodeGraph(addedGraph(request)).finish();
  const model = new ProtobufWriter();
  for (const field of file.around) model.encoded(field);
  // Two parts of one field are merged into one graph, so that the model's part needs no copy of its own.
  model.message(7, writer).bytes(7, added);
  const isFed = ({ name }: FileValue): boolean => !graph.initializers.has(name);
  return { bytes: model.finish(), inputs: inputs.filter(isFed) };
}

function addedGraph({ captured, keysDtype, outputLayer, allTokens }: CaptureRequest) {
  const builder = new GraphBuilder(undefined, prefix);
  const rows = builder.input('rows', 'int32', ['n']);
  const type = keysDtype === 'fp16' ? 'float16' : 'float32';
  const keys = builder.cast(wantedRows(builder, captured, rows), type);
  const outputs: (OnnxValueInfo & { from: Value })[] = [
    { name: addedNames.keys, type, shape: ['n', 'key'], from: keys },
  ];
  if (outputLayer !== undefined && allTokens === true) {
    const from = describeDistribution(builder, outputLayer, wantedRows(builder, outputLayer.features, rows));
    outputs.push({ name: addedNames.logProbs, type: 'float32', shape: ['n', 'vocabulary'], from });
  } else if (outputLayer !== undefined) {
    const targets = builder.input('targets', 'int32', ['n']);
    const softmaxBatch = builder.input('softmax_batch', 'int64', []);
    const features = wantedRows(builder, outputLayer.features, rows);
    const from = describeLogProbabilities(builder, outputLayer, { features, targets, softmaxBatch });
    outputs.push({ name: addedNames.logProbs, type: 'float32', shape: ['n'], from });
  }
  return builder.finish('knn-lm', outputs);
}

/** Values with one row for each token, `[B, T, ...]` or `[B * T, ...]`, as rows `[n, width]` of the wanted tokens. */
function wantedRows(builder: GraphBuilder, value: Value, rows: Value): Value {
  const tokens = builder.node('Size', ['input_ids']);
  const count = builder.node('Reshape', [tokens, builder.ints([1])]);
  const shape = builder.node('Concat', [count, builder.ints([-1])], { attributes: { axis: 0 } });
  return builder.node('Gather', [builder.node('Reshape', [value, shape]), rows], { attributes: { axis: 0 } });
}
