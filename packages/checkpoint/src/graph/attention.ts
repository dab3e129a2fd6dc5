import { runtimeDomain, type GraphBuilder, type Value } from '../onnx/graph-builder.js';
import { attendInStretches, byLength, longRow, type Attend, type LongRow } from './long-row.js';
import { linear, type Network } from './network.js';

/** What every layer's attention needs to know about the batch. */
export interface BatchShape {
  /** int64 `[3]`: B, T, -1. */
  readonly batched: Value;
  /** int32 `[B]`: T - 1 for each row. */
  readonly lastPositions: Value;
  /** int32 scalar: T. */
  readonly width: Value;
  /** The stretches into which a single long row is cut. */
  readonly stretches: LongRow;
  /** int32 `[B, T]`: 0 where attention does not look; `undefined` where it looks at all earlier positions. */
  readonly keyMask: Value | undefined;
}

/**
 * Reads the shape of the batch.
 *
 * @param paddingInside - rows may hold padding before tokens
 */
export function batchShape(network: Network, tokens: Value, paddingInside: boolean): BatchShape {
  const { builder, architecture } = network;
  const shape = builder.node('Shape', [tokens]);
  const [rows, width] = [0, 1].map((axis) => builder.node('Gather', [shape, builder.ints([axis])]));
  const widthInt32 = builder.cast(width, 'int32');
  const last = builder.node('Sub', [widthInt32, builder.ints([1], 'int32')]);
  return {
    batched: builder.node('Concat', [shape, builder.ints([-1])], { attributes: { axis: 0 } }),
    lastPositions: builder.node('Expand', [last, rows]),
    width: builder.node('Squeeze', [widthInt32]),
    stretches: longRow(builder, rows, width),
    keyMask: paddingInside ? isToken(builder, tokens, architecture.padIndex) : undefined,
  };
}

/** 1 where there is a token, 0 where there is padding: int32, of the shape of `tokens`. */
export function isToken(builder: GraphBuilder, tokens: Value, padIndex: number): Value {
  const isPad = builder.node('Equal', [tokens, builder.ints(padIndex, 'int32')]);
  return builder.cast(builder.node('Not', [isPad]), 'int32');
}

/** `GroupQueryAttention` refuses heads whose width is not a multiple of this. */
export const headAlignment = 8;

/**
 * Attention up to its output projection.
 *
 * @param x - value `[rows, C]`
 * @param module - fairseq's name, such as `decoder.layers.0.self_attn`
 * @returns value `[rows, C]`
 */
export type SelfAttention = (x: Value, module: string) => Value;

/**
 * Causal self-attention up to its output projection. Where rows are padded on the right only, no position sees padding
 * before it, and no mask is needed.
 *
 * @param x - value `[B * T, C]`
 * @param module - fairseq's name, such as `decoder.layers.0.self_attn`
 * @returns value `[B * T, C]`
 */
export function causalAttention(network: Network, x: Value, module: string, shape: BatchShape): Value {
  const { builder, architecture } = network;
  const { heads, embedDim } = architecture;
  const projections = ['q_proj', 'k_proj', 'v_proj'].map((projection) =>
    builder.node('Reshape', [linear(network, x, `${module}.${projection}`), shape.batched]),
  );
  const mixed =
    (embedDim / heads) % headAlignment === 0 && shape.keyMask === undefined
      ? groupQueryAttention(network, projections, shape)
      : multiHeadAttention(network, projections, shape);
  return builder.node('Reshape', [mixed, builder.ints([-1, embedDim])]);
}

/**
 * The fastest operator there is for causal attention: its softmax skips the masked half, where `MultiHeadAttention` does not
 * (256 dimensions, T = 2048: half the time). Its matrix products do not, so that long rows are cut.
 */
function groupQueryAttention(network: Network, projections: Value[], shape: BatchShape): Value {
  const { builder, architecture } = network;
  const attributes = { num_heads: architecture.heads, kv_num_heads: architecture.heads };
  const attend: Attend = (body, inputs) =>
    body.nodes('GroupQueryAttention', inputs, 3, { domain: runtimeDomain, attributes });
  return byLength(builder, shape.stretches, {
    short: (body) => attend(body, [...projections, '', '', shape.lastPositions, shape.width])[0],
    long: (body) => attendInStretches(body, projections, shape.stretches, attend),
  });
}

function multiHeadAttention(
  { builder, architecture }: Network,
  projections: Value[],
  { keyMask }: BatchShape,
): Value {
  const attributes = { num_heads: architecture.heads, unidirectional: 1 };
  const inputs = keyMask === undefined ? projections : [...projections, '', keyMask];
  return builder.node('MultiHeadAttention', inputs, { domain: runtimeDomain, attributes });
}
