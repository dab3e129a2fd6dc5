import { GraphBuilder, type Value } from '@knn-lm/checkpoint';
import type { OutputLayer } from './output-layer.js';

/** Inputs of {@link describeLogProbabilities}. */
export interface ScoreInputs {
  /** What the output layer reads, at the wanted positions `[n, width]`. */
  readonly features: Value;
  /** Token whose probability is wanted, int32 `[n]`. */
  readonly targets: Value;
  /** Rows whose logits are in memory at the same time, int64 scalar. */
  readonly softmaxBatch: Value;
}

/**
 * Natural logarithm of the probability of each row's target: the model's output layer and a softmax, for some rows at a
 * time. Only operators and forms that ONNX has had since operator set 11, for the model's own set is used.
 *
 * @returns value `[n]`, float32
 */
export function describeLogProbabilities(
  builder: GraphBuilder,
  layer: OutputLayer,
  inputs: ScoreInputs,
): Value {
  const { features, targets, softmaxBatch } = inputs;
  const rowCount = builder.node('Size', [targets]);
  const roundedUp = builder.node('Sub', [builder.node('Add', [rowCount, softmaxBatch]), builder.ints(1)]);
  const chunkCount = builder.node('Div', [roundedUp, softmaxBatch]);
  const none = builder.floats([]);

  const body = new GraphBuilder(builder);
  const chunk = body.input('chunk', 'int64', []);
  const goOn = body.input('go on', 'bool', []);
  const done = body.input('done', 'float32', ['rows done']);
  const start = body.node('Reshape', [body.node('Mul', [chunk, softmaxBatch]), body.ints([1])]);
  const end = body.node('Add', [start, softmaxBatch]);
  const slice = (value: Value): Value => body.node('Slice', [value, start, end, body.ints([0])]);
  const logits = body.cast(applyLayer(body, layer, slice(features)), 'float32');
  const all = body.node('LogSoftmax', [logits], { attributes: { axis: -1 } });
  const column = body.node('Reshape', [slice(targets), body.ints([-1, 1])]);
  const picked = body.node('GatherElements', [all, column], { attributes: { axis: 1 } });
  const logProbs = body.node('Reshape', [picked, body.ints([-1])]);
  const joined = body.node('Concat', [done, logProbs], { attributes: { axis: 0 } });
  const graph = body.finish('output layer', [
    { name: 'knn-lm/go on next', type: 'bool', shape: [], from: goOn },
    { name: 'knn-lm/done next', type: 'float32', shape: ['rows done next'], from: joined },
  ]);
  return builder.node('Loop', [chunkCount, '', none], { attributes: { body: graph }, name: 'output layer' });
}

/**
 * Natural logarithm of the probability of each token.
 *
 * @param features - what the output layer reads, `[n, width]`
 * @returns value `[n, vocabulary]`, float32
 */
export function describeDistribution(builder: GraphBuilder, layer: OutputLayer, features: Value): Value {
  const logits = builder.cast(applyLayer(builder, layer, features), 'float32');
  return builder.node('LogSoftmax', [logits], { attributes: { axis: -1 } });
}

/** The nodes of the layer once more, on other rows. */
function applyLayer(body: GraphBuilder, { nodes, features }: OutputLayer, rows: Value): Value {
  const renamed = new Map([[features, rows]]);
  let last = rows;
  for (const { operator, domain, inputs, outputs, attributes } of nodes) {
    last = body.node(
      operator,
      inputs.map((name) => renamed.get(name) ?? name),
      { domain, encodedAttributes: attributes.map(({ encoded }) => encoded) },
    );
    renamed.set(outputs[0], last);
  }
  return last;
}
