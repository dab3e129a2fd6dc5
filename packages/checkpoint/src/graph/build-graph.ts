import type { LmArchitecture } from '../architecture.js';
import { encodeModel } from '../onnx/encode-model.js';
import { GraphBuilder, runtimeDomain, type StoredTensor, type Value } from '../onnx/graph-builder.js';
import type { OnnxGraph } from '../onnx/model.js';
import { batchShape, causalAttention } from './attention.js';
import { describeDecoder, type Decoder } from './decoder.js';
import { embedPositions } from './embedding.js';
import { findModule, type CapturableModule } from './modules.js';
import type { Network } from './network.js';
import { selectRows } from './rows.js';
import { describeStepGraph } from './step-graph.js';
import { describeTargetLogProbabilities } from './target-log-probabilities.js';

/**
 * What a graph computes: hidden states only (`keys`), also the probability of each target (`score`), or one step of
 * generation (`step`).
 */
export type GraphPurpose = 'keys' | 'score' | 'step';

/** Element type of the hidden states that a graph gives. */
export type KeysDtype = 'fp16' | 'fp32';

/** Arithmetic of the linear layers inside the transformer layers. */
export type Precision = 'fp32' | 'int8';

/** Which graph is wanted. */
export interface GraphRequest {
  /** What it computes. */
  readonly purpose: GraphPurpose;
  /** Path of the captured module. */
  readonly module: string;
  /** Rounding to half precision happens in the graph, to nearest even, as numpy does; a step gives fp32. */
  readonly keysDtype: KeysDtype;
  /**
   * Arithmetic of the linear layers.
   * @default 'fp32'
   */
  readonly precision?: Precision | undefined;
  /**
   * Rows may hold padding before tokens, as a text does in which the symbol `<pad>` stands: attention does not look at it,
   * as in fairseq. Without such a mask attention takes half the time.
   * @default false
   */
  readonly paddingInside?: boolean | undefined;
}

/** ONNX 1.16, and the only version of ONNX Runtime's own operators. */
const operatorSets = { '': 21, [runtimeDomain]: 1 };

/**
 * Builds the graph of a fairseq language model. Its parameters stay in the weights file.
 *
 * Inputs: `tokens` int32 `[B, T]`, padded on the right; `rows` int32 `[n]`, the wanted positions as row * T + column;
 * for the purpose `score` also `targets` int32 `[n]` and `softmax_batch` int64 scalar, the rows of logits in memory at
 * a time. Outputs: `keys` `[n, dimension]`, and `log_probs` float32 `[n]`. For the purpose `step` see
 * {@link describeStepGraph}.
 *
 * @param architecture - the model
 * @param weights - where each tensor lies
 * @param request - purpose, captured module, precision of the keys
 * @returns the bytes of an `.onnx` file; equal arguments give equal bytes
 * @throws CheckpointError `MODULE_UNKNOWN`, `MODEL_FOLDER_INCOMPLETE`
 */
export function buildGraph(
  architecture: LmArchitecture,
  weights: ReadonlyMap<string, StoredTensor>,
  request: GraphRequest,
): Uint8Array {
  const module = findModule(architecture, request.module);
  const network: Network = { architecture, weights, builder: new GraphBuilder() };
  return encodeModel({
    graph: describeGraph(network, module, request),
    operatorSets,
    metadata: {
      purpose: request.purpose,
      module: module.path,
      keysDtype: request.keysDtype,
      ...(request.precision === 'int8' ? { precision: 'int8' } : {}),
    },
  });
}

function describeGraph(network: Network, module: CapturableModule, request: GraphRequest): OnnxGraph {
  if (request.purpose === 'step') return describeStepGraph(network, module);
  const { builder, architecture } = network;
  const tokens = builder.input('tokens', 'int32', ['B', 'T']);
  const wanted = builder.input('rows', 'int32', ['n']);
  const { paddingInside = false } = request;
  const end = architecture.layers - 1;
  const lastLayer = request.purpose === 'score' ? end : Math.min(module.layer, end);
  const shape = batchShape(network, tokens, paddingInside);
  const decoder = describeDecoder(network, {
    tokens,
    positions: embedPositions(network, tokens),
    attend: (x, name) => causalAttention(network, x, name, shape),
    wanted,
    lastLayer,
  });
  const keys = describeKeys(network, decoder, wanted, module, request.keysDtype);
  if (request.purpose === 'keys') return builder.finish('keys', [keys]);
  const targets = builder.input('targets', 'int32', ['n']);
  const softmaxBatch = builder.input('softmax_batch', 'int64', []);
  const features = decoder.features.value;
  const logProbs = describeTargetLogProbabilities(network, { features, targets, softmaxBatch });
  return builder.finish('score', [
    keys,
    { name: 'log_probs', type: 'float32', shape: ['n'], from: logProbs },
  ]);
}

function describeKeys(
  { builder }: Network,
  decoder: Decoder,
  wanted: Value,
  module: CapturableModule,
  dtype: KeysDtype,
) {
  const captured = decoder.modules.get(module.path);
  if (captured === undefined) throw new TypeError(`${module.path} is listed but not described`);
  const { value } = selectRows(builder, captured, wanted);
  const half = dtype === 'fp16';
  return {
    name: 'keys',
    type: half ? ('float16' as const) : ('float32' as const),
    shape: ['n', module.dimension],
    from: half ? builder.cast(value, 'float16') : value,
  };
}
