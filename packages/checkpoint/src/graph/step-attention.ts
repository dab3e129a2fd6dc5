import { runtimeDomain, type GraphBuilder, type Value } from '../onnx/graph-builder.js';
import type { LmArchitecture } from '../architecture.js';
import { headAlignment, type SelfAttention } from './attention.js';
import { linear, type Network } from './network.js';

/** Keys and values of one layer's attention. */
export interface LayerCache {
  /** Keys. */
  readonly key: Value;
  /** Values. */
  readonly value: Value;
}

/** Shape of the keys and values of one layer for one token. */
export interface CacheShape {
  /** Attention heads. */
  readonly heads: number;
  /** Width of a head, rounded up to what the attention operator takes. */
  readonly headWidth: number;
}

/** Shape of what each layer keeps of a token. */
export function cacheShape({ heads, embedDim }: LmArchitecture): CacheShape {
  return { heads, headWidth: Math.ceil(embedDim / heads / headAlignment) * headAlignment };
}

/** The attention of all layers over the tokens of a step and those before it. */
export interface StepAttention {
  /** Attention of a layer. */
  readonly attend: SelfAttention;
  /** `[S, heads * headWidth]` of each layer, in their order, once all have been described: what is to be kept. */
  readonly added: readonly LayerCache[];
}

/** What describes a step of one row of tokens. */
export interface StepShape {
  /** Token ids of the step, int32 `[1, S]`. */
  readonly tokens: Value;
  /** Tokens up to the end of the step, int32 scalar. */
  readonly total: Value;
  /** `[1, heads, capacity, headWidth]` of each layer, of which those of the tokens before count. */
  readonly past: readonly LayerCache[];
}

/**
 * Attention over keys and values that are kept from step to step. Those of the tokens before are copied by the operator,
 * which costs less than giving all of them back to be kept: outputs are copied once more on their way out of ONNX
 * Runtime. Heads whose width the operator refuses are filled up with zeros, which change no product.
 */
export function stepAttention(network: Network, { tokens, total, past }: StepShape): StepAttention {
  const { builder, architecture } = network;
  const { heads, embedDim } = architecture;
  const lastIndex = builder.node('Sub', [total, builder.ints(1, 'int32')]);
  const last = builder.node('Reshape', [lastIndex, builder.ints([1])]);
  const batched = builder.node('Concat', [builder.node('Shape', [tokens]), builder.ints([-1])], {
    attributes: { axis: 0 },
  });
  const attributes = {
    ...{ num_heads: heads, kv_num_heads: heads },
    scale: { float: 1 / Math.sqrt(embedDim / heads) },
  };
  const added: LayerCache[] = [];
  const attend: SelfAttention = (x, module) => {
    const { key: pastKey, value: pastValue } = past[added.length];
    const [query, key, value] = ['q_proj', 'k_proj', 'v_proj'].map((projection) =>
      fillHeads(builder, linear(network, x, `${module}.${projection}`), architecture),
    );
    added.push({ key, value });
    const projections = [query, key, value].map((rows) => builder.node('Reshape', [rows, batched]));
    const [mixed] = builder.nodes(
      'GroupQueryAttention',
      [...projections, pastKey, pastValue, last, total],
      3,
      { domain: runtimeDomain, attributes },
    );
    return cutHeads(builder, mixed, architecture);
  };
  return { attend, added };
}

/** `[S, heads * D]` with zeros behind each head: `[S, heads * headWidth]`. */
function fillHeads(builder: GraphBuilder, rows: Value, architecture: LmArchitecture): Value {
  const { heads, embedDim } = architecture;
  const { headWidth } = cacheShape(architecture);
  const width = embedDim / heads;
  if (width === headWidth) return rows;
  const cut = builder.node('Reshape', [rows, builder.ints([-1, heads, width])]);
  const filled = builder.node('Pad', [cut, builder.ints([0, 0, 0, 0, 0, headWidth - width])]);
  return builder.node('Reshape', [filled, builder.ints([-1, heads * headWidth])]);
}

/** The other way round, for a batch of one: `[S, heads * D]`. */
function cutHeads(builder: GraphBuilder, mixed: Value, architecture: LmArchitecture): Value {
  const { heads, embedDim } = architecture;
  const { headWidth } = cacheShape(architecture);
  const width = embedDim / heads;
  const rows = (x: Value): Value => builder.node('Reshape', [x, builder.ints([-1, embedDim])]);
  if (width === headWidth) return rows(mixed);
  const cut = builder.node('Reshape', [mixed, builder.ints([-1, heads, headWidth])]);
  return rows(builder.node('Slice', [cut, ...[0, width, 2].map((number) => builder.ints([number]))]));
}
