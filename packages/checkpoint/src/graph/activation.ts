import type { Activation } from '../architecture.js';
import { runtimeDomain, type GraphBuilder, type Value } from '../onnx/graph-builder.js';

/**
 * The activation of the feed-forward layers (fairseq/utils.py `get_activation_fn`).
 *
 * @param x - value of any shape
 * @returns value of the same shape
 */
export function activate(builder: GraphBuilder, x: Value, activation: Activation): Value {
  switch (activation) {
    case 'relu':
      return builder.node('Relu', [x]);
    case 'relu_squared': {
      const positive = builder.node('Relu', [x]);
      return builder.node('Mul', [positive, positive]);
    }
    case 'gelu':
      return builder.node('Gelu', [x], { domain: runtimeDomain });
    case 'gelu_accurate':
      return builder.node('Gelu', [x], { attributes: { approximate: 'tanh' } });
    case 'tanh':
      return builder.node('Tanh', [x]);
    case 'swish':
      return builder.node('Mul', [x, builder.node('Sigmoid', [x])]);
    case 'linear':
      return x;
  }
}
