import type { AdaptiveBands } from '../architecture.js';
import { GraphBuilder, type Value } from '../onnx/graph-builder.js';
import { project, type Network } from './network.js';

/** Inputs of the output layer. */
export interface SoftmaxInputs {
  /** `[n, outputDim]`. */
  readonly features: Value;
  /** Token whose probability is wanted, int32 `[n]`. */
  readonly targets: Value;
  /** Rows whose logits are in memory at the same time, int64 scalar. */
  readonly softmaxBatch: Value;
}

/**
 * Natural logarithm of the probability of each row's target. The rows go through the output layer in chunks, so that
 * the logits of `softmaxBatch` rows at most are in memory, whatever the size of the batch.
 *
 * @returns value `[n]`
 */
export function describeTargetLogProbabilities(network: Network, inputs: SoftmaxInputs): Value {
  const { builder } = network;
  const { features, targets, softmaxBatch } = inputs;
  const rowCount = builder.node('Gather', [builder.node('Shape', [targets]), builder.ints(0)]);
  const roundedUp = builder.node('Sub', [builder.node('Add', [rowCount, softmaxBatch]), builder.ints(1)]);
  const chunkCount = builder.node('Div', [roundedUp, softmaxBatch]);
  const none = builder.floats([]);

  const body = new GraphBuilder(builder);
  const chunk = body.input('chunk', 'int64', []);
  const goOn = body.input('go on', 'bool', []);
  const done = body.input('done', 'float32', ['rows done']);
  const start = body.node('Mul', [chunk, softmaxBatch]);
  const end = body.node('Add', [start, softmaxBatch]);
  const [chunkFeatures, chunkTargets] = [features, targets].map((value) =>
    sliceRows(body, value, start, end),
  );
  const logProbabilities = describeChunk(network, body, chunkFeatures, chunkTargets);
  const joined = body.node('Concat', [done, logProbabilities], { attributes: { axis: 0 } });
  const graph = body.finish('output layer', [
    { name: 'go on next', type: 'bool', shape: [], from: goOn },
    { name: 'done next', type: 'float32', shape: ['rows done next'], from: joined },
  ]);
  return builder.node('Loop', [chunkCount, '', none], { attributes: { body: graph }, name: 'output layer' });
}

function sliceRows(builder: GraphBuilder, value: Value, start: Value, end: Value): Value {
  const one = builder.ints([0]);
  const [first, last] = [start, end].map((index) => builder.node('Unsqueeze', [index, one]));
  return builder.node('Slice', [value, first, last, one]);
}

function describeChunk(network: Network, builder: GraphBuilder, features: Value, targets: Value): Value {
  const { adaptiveSoftmax } = network.architecture;
  if (adaptiveSoftmax !== undefined) {
    return describeAdaptiveChunk(network, builder, adaptiveSoftmax, { features, targets });
  }
  return logSoftmaxAt(builder, plainLogits(network, builder, features), targets);
}

/** Logits of all words, of an output layer that is one matrix. */
export function plainLogits(network: Network, builder: GraphBuilder, features: Value): Value {
  const shared = network.architecture.shareInputOutputEmbed;
  const weight = shared ? 'decoder.embed_tokens.weight' : 'decoder.output_projection.weight';
  return project(network, features, weight, { builder });
}

/**
 * Adaptive softmax (Grave et al., 2017; fairseq/modules/adaptive_softmax.py): the head has the words of the first band
 * and one entry for each other band; a word of band i has the product of the head's entry and its probability inside.
 * Each tail is computed only for the rows whose target lies in it.
 */
function describeAdaptiveChunk(
  network: Network,
  builder: GraphBuilder,
  bands: AdaptiveBands,
  { features, targets }: { features: Value; targets: Value },
): Value {
  const int32 = (value: number): Value => builder.ints(value, 'int32');
  const tails = bands.cutoffs.slice(1).map((end, i) => ({ start: bands.cutoffs[i], end, tail: i }));
  let headIndex = targets;
  for (const { start, tail } of tails) {
    const reaches = builder.node('Less', [targets, int32(start)]);
    headIndex = builder.node('Where', [reaches, headIndex, int32(bands.cutoffs[0] + tail)]);
  }
  let result = logSoftmaxAt(builder, headLogits(network, builder, features), headIndex);
  for (const { start, end, tail } of tails) {
    const inside = builder.node('And', [
      builder.node('GreaterOrEqual', [targets, int32(start)]),
      builder.node('Less', [targets, int32(end)]),
    ]);
    const rows = builder.node('Squeeze', [builder.node('NonZero', [inside]), builder.ints([0])]);
    const local = builder.node('Sub', [builder.node('Gather', [targets, rows]), int32(start)]);
    const logits = tailLogits(network, builder, tail, builder.node('Gather', [features, rows]));
    const within = logSoftmaxAt(builder, logits, local);
    result = builder.node('ScatterElements', [result, rows, within], {
      attributes: { axis: 0, reduction: 'add' },
    });
  }
  return result;
}

/** Logits of the first band's words and of one entry for each other band. */
export function headLogits(network: Network, builder: GraphBuilder, features: Value): Value {
  const head = 'decoder.adaptive_softmax.head';
  if (!network.architecture.tieAdaptiveWeights)
    return project(network, features, `${head}.weight`, { builder });
  const words = project(network, features, `${head}.word_proj.weight`, { builder });
  const classes = project(network, features, `${head}.class_proj.weight`, { builder });
  return builder.node('Concat', [words, classes], { attributes: { axis: 1 } });
}

/** Logits of the words of a band after the first one. */
export function tailLogits(network: Network, builder: GraphBuilder, tail: number, features: Value): Value {
  const name = `decoder.adaptive_softmax.tail.${tail}`;
  const { tieAdaptiveWeights, tieAdaptiveProj } = network.architecture;
  const narrow = project(network, features, `${name}.0.weight`, {
    builder,
    transposed: !(tieAdaptiveWeights && tieAdaptiveProj),
  });
  return project(network, narrow, `${name}.2.weight`, { builder });
}

/** The logarithm of the softmax of `logits [n, V]` at `indices [n]`. */
function logSoftmaxAt(builder: GraphBuilder, logits: Value, indices: Value): Value {
  const all = builder.node('LogSoftmax', [logits], { attributes: { axis: -1 } });
  const column = builder.node('Unsqueeze', [indices, builder.ints([1])]);
  const picked = builder.node('GatherElements', [all, column], { attributes: { axis: 1 } });
  return builder.node('Squeeze', [picked, builder.ints([1])]);
}
