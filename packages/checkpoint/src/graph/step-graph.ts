import type { OnnxGraph, OnnxValueInfo } from '../onnx/model.js';
import type { Value } from '../onnx/graph-builder.js';
import { describeAllLogProbabilities } from './all-log-probabilities.js';
import { describeDecoder } from './decoder.js';
import { embedPositionsAt } from './embedding.js';
import type { CapturableModule } from './modules.js';
import type { Network } from './network.js';
import { selectRows } from './rows.js';
import { cacheShape, stepAttention } from './step-attention.js';

/** An input that holds the keys or values of earlier tokens, and the output with those of the step's. */
export interface StepCacheNames {
  /** Name of the input. */
  readonly past: string;
  /** Name of the output. */
  readonly added: string;
}

/**
 * Names of what is kept from step to step: of each layer the keys, then the values.
 *
 * @param layers - number of layers
 */
export function stepCacheNames(layers: number): StepCacheNames[] {
  return Array.from({ length: layers }, (_, layer) => layer).flatMap((layer) =>
    ['key', 'value'].map((kind) => ({ past: `past.${layer}.${kind}`, added: `added.${layer}.${kind}` })),
  );
}

/**
 * The graph of one step of generation, for one row of tokens: reads the tokens of the step, and gives the hidden state of
 * the captured module at the last of them and the distribution of what comes next.
 *
 * Inputs: `tokens` int32 `[1, S]`; `total` int32 scalar, the number of tokens up to the end of the step; for each layer
 * `past.N.key` and `past.N.value` float32 `[1, heads, capacity, headWidth]`, of which the first `total - S` count.
 * Outputs: `hidden` float32 `[1, dimension]`, `log_probs` float32 `[1, vocabulary]`, and `added.N.key`, `added.N.value`
 * float32 `[S, heads * headWidth]`, which the caller keeps behind those of the tokens before.
 */
export function describeStepGraph(network: Network, module: CapturableModule): OnnxGraph {
  const { builder, architecture } = network;
  const tokens = builder.input('tokens', 'int32', [1, 'S']);
  const total = builder.input('total', 'int32', []);
  const { heads, headWidth } = cacheShape(architecture);
  const names = stepCacheNames(architecture.layers);
  const inputs = names.map(({ past }) => builder.input(past, 'float32', [1, heads, 'P', headWidth]));
  const past = Array.from({ length: architecture.layers }, (_, i) => ({
    key: inputs[2 * i],
    value: inputs[2 * i + 1],
  }));
  const { attend, added } = stepAttention(network, { tokens, total, past });
  const count = builder.node('Size', [tokens]);
  const last = builder.node('Reshape', [builder.node('Sub', [count, builder.ints(1)]), builder.ints([1])]);
  const decoder = describeDecoder(network, {
    tokens,
    positions: embedPositionsAt(network, stepColumns(network, total, count)),
    attend,
    wanted: last,
    lastLayer: architecture.layers - 1,
  });
  const captured = decoder.modules.get(module.path);
  if (captured === undefined) throw new TypeError(`${module.path} is listed but not described`);
  const outputs: (OnnxValueInfo & { from: Value })[] = [
    {
      ...{ name: 'hidden', type: 'float32', shape: [1, module.dimension] },
      from: selectRows(builder, captured, last).value,
    },
    {
      ...{ name: 'log_probs', type: 'float32', shape: [1, architecture.vocabSize] },
      from: describeAllLogProbabilities(network, decoder.features.value),
    },
  ];
  const kept = added.flatMap(({ key, value }) => [key, value]);
  names.forEach(({ added: name }, i) => {
    outputs.push({ name, type: 'float32', shape: ['S', heads * headWidth], from: kept[i] });
  });
  return builder.finish('step', outputs);
}

/** Columns of the step's tokens in the row, int64 `[S]`. */
function stepColumns({ builder }: Network, total: Value, count: Value): Value {
  const end = builder.cast(total, 'int64');
  return builder.node('Range', [builder.node('Sub', [end, count]), end, builder.ints(1)]);
}
