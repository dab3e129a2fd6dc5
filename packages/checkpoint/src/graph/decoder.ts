import type { GraphBuilder, Value } from '../onnx/graph-builder.js';
import { activate } from './activation.js';
import type { SelfAttention } from './attention.js';
import { embedTokens, projectIn } from './embedding.js';
import { projectsOut } from './modules.js';
import { addAndNorm, layerNorm, linear, project, type Network } from './network.js';
import { selectRows, type Rows } from './rows.js';

/** The values that a graph can fetch. */
export interface Decoder {
  /** Output of each module, by path: `layers[3].fc1`. */
  readonly modules: ReadonlyMap<string, Rows>;
  /** What the output layer sees, at the wanted positions: `[n, outputDim]`. */
  readonly features: Rows;
}

/** The inputs of the decoder. */
export interface DecoderInputs {
  /** Token ids, int32 `[B, T]`, padded on the right. */
  readonly tokens: Value;
  /** Embeddings of the positions, `[B * T, embedDim]`; `undefined` in a model without. */
  readonly positions: Value | undefined;
  /** Attention of each layer, called in their order. */
  readonly attend: SelfAttention;
  /** Wanted positions, int32 or int64 `[n]`, as row * T + column. */
  readonly wanted: Value;
  /** The last layer whose output is needed; those after it are not described. */
  readonly lastLayer: number;
}

/** Hidden states between layers: their sum with the last branch is left to the norm that comes next. */
interface Stream {
  readonly rows: Rows;
  readonly branch?: Value;
}

/** Describes a fairseq `TransformerDecoder` (fairseq/models/transformer/transformer_decoder.py) in evaluation mode. */
export function describeDecoder(network: Network, inputs: DecoderInputs): Decoder {
  const modules = new Map<string, Rows>();
  const { attend } = inputs;
  let stream: Stream = { rows: describeEmbedding(network, inputs, modules) };
  for (let layer = 0; layer <= inputs.lastLayer; layer++) {
    const select = (rows: Rows): Rows =>
      layer === inputs.lastLayer ? selectRows(network.builder, rows, inputs.wanted) : rows;
    stream = describeLayer({ network, modules, attend, select, layer }, stream);
  }
  return { modules, features: describeFeatures(network, stream, modules) };
}

function describeEmbedding(
  network: Network,
  { tokens, positions }: DecoderInputs,
  modules: Map<string, Rows>,
): Rows {
  const { builder, architecture } = network;
  const keep = (name: string, value: Value): Value => {
    modules.set(name, { value, selected: false });
    return value;
  };
  const ids = builder.node('Reshape', [tokens, builder.ints([-1])]);
  let x = keep('embed_tokens', embedTokens(network, ids));
  if (architecture.embedScale !== 1) x = builder.node('Mul', [x, builder.floats(architecture.embedScale)]);
  const projected = projectIn(network, x);
  if (projected !== x) x = keep('project_in_dim', projected);
  if (positions !== undefined) x = builder.node('Add', [x, keep('embed_positions', positions)]);
  if (architecture.layerNormEmbedding) {
    x = keep('layernorm_embedding', layerNorm(network, x, 'decoder.layernorm_embedding'));
  }
  return { value: x, selected: false };
}

interface LayerContext {
  readonly network: Network;
  readonly modules: Map<string, Rows>;
  readonly attend: SelfAttention;
  /** Keeps the wanted positions in the last layer, all of them in the others. */
  readonly select: (rows: Rows) => Rows;
  readonly layer: number;
}

function describeLayer(context: LayerContext, stream: Stream): Stream {
  return context.network.architecture.normalizeBefore
    ? describePreNormLayer(context, stream)
    : describePostNormLayer(context, stream);
}

function describePreNormLayer(context: LayerContext, stream: Stream): Stream {
  const { network, select } = context;
  const before = normOfStream(network, stream, moduleName(context, 'self_attn_layer_norm'));
  keepModule(context, 'self_attn_layer_norm', before.norm);
  const attended = describeAttention(context, before.norm);
  const residual = select(before.rows);
  const { norm, sum } = addAndNorm(
    network,
    residual.value,
    attended.value,
    moduleName(context, 'final_layer_norm'),
  );
  const { selected } = attended;
  keepModule(context, 'final_layer_norm', { value: norm, selected });
  const branch = describeFeedForward(context, { value: norm, selected });
  keepModule(context, '', { value: network.builder.node('Add', [sum, branch.value]), selected });
  return { rows: { value: sum, selected }, branch: branch.value };
}

function describePostNormLayer(context: LayerContext, stream: Stream): Stream {
  const { network, select } = context;
  const attended = describeAttention(context, stream.rows);
  const { selected } = attended;
  const middle = addAndNorm(
    network,
    select(stream.rows).value,
    attended.value,
    moduleName(context, 'self_attn_layer_norm'),
  );
  keepModule(context, 'self_attn_layer_norm', { value: middle.norm, selected });
  const branch = describeFeedForward(context, { value: middle.norm, selected });
  const after = addAndNorm(network, middle.norm, branch.value, moduleName(context, 'final_layer_norm'));
  keepModule(context, 'final_layer_norm', { value: after.norm, selected });
  keepModule(context, '', { value: after.norm, selected });
  return { rows: { value: after.norm, selected } };
}

function describeAttention(context: LayerContext, x: Rows): Rows {
  const { network, attend, select } = context;
  const module = moduleName(context, 'self_attn');
  const mixed = select({ value: attend(x.value, module), selected: false });
  const output = { value: linear(network, mixed.value, `${module}.out_proj`), selected: mixed.selected };
  keepModule(context, 'self_attn', output);
  return output;
}

function describeFeedForward(context: LayerContext, x: Rows): Rows {
  const { network } = context;
  const inner = linear(network, x.value, moduleName(context, 'fc1'));
  keepModule(context, 'fc1', { value: inner, selected: x.selected });
  const active = activate(network.builder, inner, network.architecture.activation);
  const output = { value: linear(network, active, moduleName(context, 'fc2')), selected: x.selected };
  keepModule(context, 'fc2', output);
  return output;
}

function describeFeatures(network: Network, stream: Stream, modules: Map<string, Rows>): Rows {
  let features: Rows;
  if (network.architecture.finalNorm) {
    features = normOfStream(network, stream, 'decoder.layer_norm').norm;
    modules.set('layer_norm', features);
  } else {
    features = { ...stream.rows, value: streamSum(network.builder, stream) };
  }
  if (!projectsOut(network.architecture)) return features;
  features = { ...features, value: project(network, features.value, 'decoder.project_out_dim.weight') };
  modules.set('project_out_dim', features);
  return features;
}

function normOfStream(network: Network, stream: Stream, module: string): { norm: Rows; rows: Rows } {
  const { rows, branch } = stream;
  if (branch === undefined) {
    return { norm: { ...rows, value: layerNorm(network, rows.value, module) }, rows };
  }
  const { norm, sum } = addAndNorm(network, rows.value, branch, module);
  return { norm: { ...rows, value: norm }, rows: { ...rows, value: sum } };
}

function streamSum(builder: GraphBuilder, { rows, branch }: Stream): Value {
  return branch === undefined ? rows.value : builder.node('Add', [rows.value, branch]);
}

function moduleName({ layer }: LayerContext, child: string): string {
  return `decoder.layers.${layer}.${child}`;
}

function keepModule({ modules, layer }: LayerContext, child: string, rows: Rows): void {
  modules.set(child === '' ? `layers[${layer}]` : `layers[${layer}].${child}`, rows);
}
