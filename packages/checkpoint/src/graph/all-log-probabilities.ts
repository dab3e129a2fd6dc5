import type { Value } from '../onnx/graph-builder.js';
import type { Network } from './network.js';
import { headLogits, plainLogits, tailLogits } from './target-log-probabilities.js';

/**
 * Natural logarithm of the probability of every word, for few rows. In an adaptive softmax a word of a tail has the
 * product of the head's entry for the tail and its probability inside (fairseq/modules/adaptive_softmax.py
 * `get_log_prob`).
 *
 * @param features - value `[n, outputDim]`
 * @returns value `[n, vocabSize]`
 */
export function describeAllLogProbabilities(network: Network, features: Value): Value {
  const { builder, architecture } = network;
  const logSoftmax = (logits: Value): Value =>
    builder.node('LogSoftmax', [logits], { attributes: { axis: -1 } });
  const { adaptiveSoftmax } = architecture;
  if (adaptiveSoftmax === undefined) return logSoftmax(plainLogits(network, builder, features));
  const head = logSoftmax(headLogits(network, builder, features));
  const words = adaptiveSoftmax.cutoffs[0];
  const columns = (start: number, end: number): Value =>
    builder.node('Slice', [head, ...[start, end, 1].map((number) => builder.ints([number]))]);
  const tails = adaptiveSoftmax.cutoffs.slice(1).map((_, tail) => {
    const within = logSoftmax(tailLogits(network, builder, tail, features));
    return builder.node('Add', [within, columns(words + tail, words + tail + 1)]);
  });
  return builder.node('Concat', [columns(0, words), ...tails], { attributes: { axis: 1 } });
}
