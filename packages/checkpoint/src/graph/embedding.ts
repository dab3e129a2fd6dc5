import type { AdaptiveBands } from '../architecture.js';
import type { Value } from '../onnx/graph-builder.js';
import { bandSizes } from '../tensor-names.js';
import { isToken } from './attention.js';
import { projectsIn } from './modules.js';
import { parameter, project, type Network } from './network.js';
import { sinusoidFrequencies } from './sinusoid-frequencies.js';

/**
 * Token embeddings, before the factor `embedScale`.
 *
 * @param ids - token ids, int32 `[n]`
 * @returns value `[n, inputDim]` (`[n, embedDim]` when adaptive)
 */
export function embedTokens(network: Network, ids: Value): Value {
  const { adaptiveInput } = network.architecture;
  if (adaptiveInput !== undefined) return embedAdaptively(network, ids, adaptiveInput);
  const table = parameter(network, 'decoder.embed_tokens.weight');
  return network.builder.node('Gather', [table, ids], { name: 'embed_tokens' });
}

/**
 * Each band looks up its own tokens, has zeros for the others, and projects to the full width; the sum over bands is
 * exact, because all but one term are zero.
 */
function embedAdaptively(network: Network, ids: Value, bands: AdaptiveBands): Value {
  let sum: Value | undefined;
  bandSizes(bands).forEach((size, band) => {
    const table = `decoder.embed_tokens.embeddings.${band}`;
    const narrow = gatherBand(network, ids, table, { start: bands.cutoffs[band] - size, size });
    const inputs = [narrow, parameter(network, `${table}.1.weight`), ...(sum === undefined ? [] : [sum])];
    sum = network.builder.node('Gemm', inputs, { attributes: { transB: 1 }, name: 'embed_tokens' });
  });
  if (sum === undefined) throw new TypeError('an adaptive embedding has at least one band');
  return sum;
}

function gatherBand(
  network: Network,
  ids: Value,
  table: string,
  { start, size }: { start: number; size: number },
): Value {
  const { builder } = network;
  const local = builder.node('Sub', [ids, builder.ints(start, 'int32')]);
  // Ids outside are looked up at the nearest end and multiplied by zero.
  const inside = builder.node('Clip', [local, builder.ints(0, 'int32'), builder.ints(size - 1, 'int32')]);
  const belongs = builder.cast(builder.node('Equal', [local, inside]), 'float32');
  const vectors = builder.node('Gather', [parameter(network, `${table}.0.weight`), inside]);
  return builder.node('Mul', [vectors, builder.node('Unsqueeze', [belongs, builder.ints([1])])]);
}

/** `project_in_dim`, where the embedding has another width than the layers. */
export function projectIn(network: Network, x: Value): Value {
  return projectsIn(network.architecture) ? project(network, x, 'decoder.project_in_dim.weight') : x;
}

/**
 * Position embeddings. Positions count from `padIndex + 1`; padding does not count and has position `padIndex`
 * (fairseq/utils.py `make_positions`).
 *
 * @param tokens - token ids, int32 `[B, T]`
 * @returns value `[B * T, embedDim]`, or `undefined` in a model without positions
 */
export function embedPositions(network: Network, tokens: Value): Value | undefined {
  const { builder, architecture } = network;
  if (architecture.positions === 'none') return undefined;
  const pad = builder.ints(architecture.padIndex, 'int32');
  const counts = isToken(builder, tokens, architecture.padIndex);
  const count = builder.node('CumSum', [counts, builder.ints(1)]);
  const positions = builder.node('Add', [builder.node('Mul', [count, counts]), pad]);
  const flat = builder.node('Reshape', [positions, builder.ints([-1])]);
  const table = architecture.positions === 'learned' ? learnedTable(network) : sinusoidTable(network, tokens);
  return builder.node('Gather', [table, flat], { name: 'embed_positions' });
}

/**
 * The same for given columns of a row without padding.
 *
 * @param columns - int64 `[n]`, counted from 0
 * @returns value `[n, embedDim]`, or `undefined` in a model without positions
 */
export function embedPositionsAt(network: Network, columns: Value): Value | undefined {
  const { builder, architecture } = network;
  if (architecture.positions === 'none') return undefined;
  const positions = builder.node('Add', [columns, builder.ints(architecture.padIndex + 1)]);
  if (architecture.positions === 'sinusoidal') return sinusoids(network, positions).waves;
  return builder.node('Gather', [learnedTable(network), positions], { name: 'embed_positions' });
}

function learnedTable(network: Network): Value {
  return parameter(network, 'decoder.embed_positions.weight');
}

/**
 * The table of sines and cosines for the width of this batch (fairseq/modules/sinusoidal_positional_embedding.py), so
 * that no input is too long for it: `[padIndex + 1 + T, embedDim]`, zeros at `padIndex`.
 */
function sinusoidTable(network: Network, tokens: Value): Value {
  const { builder, architecture } = network;
  const { padIndex } = architecture;
  const width = builder.node('Gather', [builder.node('Shape', [tokens]), builder.ints(1)]);
  const end = builder.node('Add', [width, builder.ints(padIndex + 1)]);
  const integers = builder.node('Range', [builder.ints(0), end, builder.ints(1)]);
  const { waves, positions } = sinusoids(network, integers);
  const isPad = builder.node('Equal', [positions, builder.floats(padIndex)]);
  const notPad = builder.cast(builder.node('Not', [isPad]), 'float32');
  return builder.node('Mul', [waves, notPad]);
}

/** Sines and cosines of positions, int64 `[n]`: `[n, embedDim]`, and the positions as a column `[n, 1]`. */
function sinusoids({ builder, architecture }: Network, integers: Value): { waves: Value; positions: Value } {
  const { embedDim } = architecture;
  const positions = builder.node('Unsqueeze', [builder.cast(integers, 'float32'), builder.ints([1])]);
  const angles = builder.node('Mul', [positions, builder.floats([...sinusoidFrequencies(embedDim)])]);
  const waves = [builder.node('Sin', [angles]), builder.node('Cos', [angles])];
  if (embedDim % 2 === 1) waves.push(builder.node('Mul', [positions, builder.floats(0)]));
  return { waves: builder.node('Concat', waves, { attributes: { axis: 1 } }), positions };
}
