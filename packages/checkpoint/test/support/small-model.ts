import type { PyObject, PyValue } from '../../src/pickle/values.js';
import type { LmArchitecture } from '../../src/architecture.js';
import { expectedTensors } from '../../src/tensor-names.js';
import { floatStorage, namespace, tensorRecord, type TestStorage } from './torch-writer.js';

/** Settings of the smallest model there is, as fairseq's command line gives them. */
export const smallSettings = {
  arch: 'transformer_lm',
  decoder_embed_dim: 4,
  decoder_input_dim: 4,
  decoder_output_dim: 4,
  decoder_ffn_embed_dim: 6,
  decoder_layers: 1,
  decoder_attention_heads: 2,
  decoder_normalize_before: true,
  tokens_per_sample: 16,
} satisfies Record<string, PyValue>;

/** What {@link smallSettings} describe. */
export const smallArchitecture: LmArchitecture = {
  name: 'transformer_lm',
  vocabSize: 10,
  layers: 1,
  embedDim: 4,
  inputDim: 4,
  outputDim: 4,
  ffnDim: 6,
  heads: 2,
  normalizeBefore: true,
  finalNorm: true,
  layerNormEmbedding: false,
  activation: 'relu',
  embedScale: 2,
  positions: 'sinusoidal',
  maxPositions: 16,
  padIndex: 1,
  adaptiveInput: undefined,
  adaptiveSoftmax: undefined,
  tieAdaptiveWeights: false,
  tieAdaptiveProj: false,
  shareInputOutputEmbed: false,
  addBosToken: false,
  tokensPerSample: 16,
};

/** A checkpoint's object and storages, to be changed by a test and then written. */
export interface SmallCheckpoint {
  readonly root: Map<PyValue, PyValue>;
  readonly model: Map<PyValue, PyValue>;
  readonly storages: Map<string, TestStorage>;
}

/** A checkpoint of a model with one storage a tensor; element i of every tensor is i, more or less. */
export function smallCheckpoint(
  settings: Readonly<Record<string, PyValue>> = smallSettings,
  architecture = smallArchitecture,
): SmallCheckpoint {
  const storages = new Map<string, TestStorage>();
  const model = new Map<PyValue, PyValue>();
  const add = (name: string, shape: readonly number[], values?: number[]): void => {
    const count = shape.reduce((product, length) => product * length, 1);
    const key = String(storages.size);
    storages.set(
      key,
      floatStorage(values ?? Array.from({ length: count }, (_, i) => i + storages.size / 100)),
    );
    const strides = shape.map((_, axis) =>
      shape.slice(axis + 1).reduce((product, length) => product * length, 1),
    );
    model.set(name, tensorRecord(storages, key, [...shape], strides));
  };
  add('decoder.version', [1], [3]);
  for (const [name, shape] of expectedTensors(architecture)) add(name, shape);
  return {
    root: new Map<PyValue, PyValue>([
      ['args', namespace(settings)],
      ['model', model],
    ]),
    model,
    storages,
  };
}

/** The record of a tensor of a small checkpoint. */
export function recordOf({ model }: SmallCheckpoint, name: string): PyObject {
  return model.get(name) as PyObject;
}
