import { CheckpointError } from './errors.js';
import type { PyValue } from './pickle/values.js';

/** Tensors under fairseq's current names, still as the records of the pickle. */
export type StateDict = Map<string, PyValue>;

/** A parameter, or one third of the fused query, key and value projection of old checkpoints. */
export interface UpgradedTensor {
  /** Name in the file. */
  readonly storedName: string;
  /** The record. */
  readonly value: PyValue;
  /** Which third of its rows: 0, 1, 2 for query, key, value; all of it when `undefined`. */
  readonly third: number | undefined;
}

/** Buffers that decide nothing in evaluation; the sinusoidal table is computed. */
const ignored =
  /(^|\.)_float_tensor$|^decoder\.(adaptive_softmax\.)?version$|^decoder\.embed_positions\.weights$/;

/** Layer norms before they had names (transformer_layer.py, upgrade_state_dict_named). */
const oldLayerNorms = new Map([
  ['0', 'self_attn_layer_norm'],
  ['2', 'final_layer_norm'],
]);

/** The projections in the order in which the fused matrix holds them (multihead_attention.py). */
const fused = ['q_proj', 'k_proj', 'v_proj'];

/** The state dict of a checkpoint: its `model` entry, with text keys. */
export function findStateDict(path: string, root: ReadonlyMap<PyValue, PyValue>): StateDict {
  const model = root.get('model');
  const stateDict: StateDict = new Map();
  if (model instanceof Map) {
    for (const [name, value] of model) if (typeof name === 'string') stateDict.set(name, value);
  }
  if (stateDict.size === 0) {
    throw new CheckpointError('CHECKPOINT_NOT_FAIRSEQ', `${path}: has no parameters under the key 'model'`, {
      hint: 'Give the model.pt (or checkpoint_best.pt) that fairseq-train wrote.',
      details: { path },
    });
  }
  return stateDict;
}

/** Number of layers that have tensors. */
export function countLayers(names: Iterable<string>): number {
  const layers = new Set<string>();
  for (const name of names) {
    const [, layer] = /^decoder\.layers\.(\d+)\./.exec(name) ?? [];
    if (layer !== undefined) layers.add(layer);
  }
  return layers.size;
}

/**
 * Brings names up to date, as fairseq does when it loads a checkpoint, leaves out buffers, and splits fused projections.
 *
 * @param stateDict - as in the file
 * @param keep - the layers to keep (LayerDrop), ascending; all when `undefined`
 */
export function upgradeStateDict(
  stateDict: StateDict,
  keep: readonly number[] | undefined,
): Map<string, UpgradedTensor> {
  const upgraded = new Map<string, UpgradedTensor>();
  for (const [storedName, value] of stateDict) {
    if (ignored.test(storedName)) continue;
    const name = renumber(rename(storedName), keep);
    if (name === undefined) continue;
    const [, attention, kind] = /^(.*\.self_attn\.)in_proj_(weight|bias)$/.exec(name) ?? [];
    if (attention === undefined) upgraded.set(name, { storedName, value, third: undefined });
    else {
      fused.forEach((projection, third) =>
        upgraded.set(`${attention}${projection}.${kind}`, { storedName, value, third }),
      );
    }
  }
  return upgraded;
}

function rename(name: string): string {
  if (name === 'decoder.embed_out') return 'decoder.output_projection.weight';
  return name.replace(/\.layer_norms\.([02])\./, (_, index: string) => `.${oldLayerNorms.get(index)}.`);
}

/** The name with the layer's new number, or `undefined` for a layer that is dropped. */
function renumber(name: string, keep: readonly number[] | undefined): string | undefined {
  const [, layer, rest] = /^decoder\.layers\.(\d+)\.(.*)$/.exec(name) ?? [];
  if (keep === undefined || layer === undefined) return name;
  const index = keep.indexOf(Number(layer));
  return index < 0 ? undefined : `decoder.layers.${index}.${rest}`;
}
