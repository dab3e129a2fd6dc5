import type { LmArchitecture } from '../architecture.js';
import type { StoredTensor } from '../onnx/graph-builder.js';

/** A linear layer that has an 8-bit form. */
export interface QuantizedLinear {
  /** fairseq's name, such as `decoder.layers.0.fc1`. */
  readonly module: string;
  /** Width of its input (K). */
  readonly inputs: number;
  /** Width of its output (N). */
  readonly outputs: number;
  /** First byte of the weights, int8 `[K, N]`: the operator wants the transpose of torch's layout. */
  readonly weightOffset: number;
  /** First byte of the factors, float32 `[N]`, one for each output. */
  readonly scaleOffset: number;
}

/** Where the tensors of an 8-bit weights file lie. */
export interface Int8Layout {
  /** The layers, in the order of the file. */
  readonly linears: readonly QuantizedLinear[];
  /** Size of the file. */
  readonly byteLength: number;
}

/** Name of the 8-bit weights file in a model folder. */
export const int8WeightsFile = 'weights.int8.bin';

/** Raised when the numbers in the file change for the same model. */
export const int8Version = 1;

/** The file begins with a line that says what it is and of which model; it takes this many bytes. */
export const int8HeaderBytes = 128;

/** A cache line, and the widest vector register. */
const alignment = 64;

const aligned = (offset: number): number => Math.ceil(offset / alignment) * alignment;

/**
 * The linear layers that are computed with 8-bit numbers: all of them inside the transformer layers, which are 93 % of
 * the arithmetic of a large model. Embeddings are looked up, not multiplied; the output layer decides small
 * probabilities, and stays in single precision.
 *
 * @param architecture - the model
 */
export function int8Layout({ layers, embedDim, ffnDim }: LmArchitecture): Int8Layout {
  const linears: QuantizedLinear[] = [];
  let end = int8HeaderBytes;
  const add = (module: string, inputs: number, outputs: number): void => {
    const weightOffset = aligned(end);
    const scaleOffset = aligned(weightOffset + inputs * outputs);
    linears.push({ module, inputs, outputs, weightOffset, scaleOffset });
    end = scaleOffset + 4 * outputs;
  };
  for (let i = 0; i < layers; i++) {
    const layer = `decoder.layers.${i}`;
    for (const projection of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
      add(`${layer}.self_attn.${projection}`, embedDim, embedDim);
    }
    add(`${layer}.fc1`, embedDim, ffnDim);
    add(`${layer}.fc2`, ffnDim, embedDim);
  }
  return { linears, byteLength: end };
}

/** Name under which a graph finds the 8-bit weights of a layer. */
export const int8WeightName = (module: string): string => `${module}.weight.int8`;

/** Name under which a graph finds the factors of a layer's 8-bit weights. */
export const int8ScaleName = (module: string): string => `${module}.weight.scale`;

/** The tensors of an 8-bit weights file, by name. */
export function int8Tensors(architecture: LmArchitecture): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const { module, inputs, outputs, weightOffset, scaleOffset } of int8Layout(architecture).linears) {
    tensors.set(int8WeightName(module), {
      shape: [inputs, outputs],
      type: 'int8',
      data: { location: int8WeightsFile, byteOffset: weightOffset, byteLength: inputs * outputs },
    });
    tensors.set(int8ScaleName(module), {
      shape: [outputs],
      type: 'float32',
      data: { location: int8WeightsFile, byteOffset: scaleOffset, byteLength: 4 * outputs },
    });
  }
  return tensors;
}
