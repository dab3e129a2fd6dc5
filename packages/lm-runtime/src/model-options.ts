import type { KeysDtype, Precision } from '@knn-lm/checkpoint';
import type { TaskOptions } from '@knn-lm/common';
import type { Device } from './device.js';

/** What all ways of opening a language model have in common. */
export interface ModelOptions extends TaskOptions {
  /**
   * Module whose output is captured, or, of an `.onnx` file, a tensor.
   * @default 'layers[-1].final_layer_norm'; 'features', the input of the output layer, of an `.onnx` file
   */
  readonly moduleToCapture?: string | undefined;
  /**
   * Where the model runs.
   * @default 'cpu'
   */
  readonly device?: Device | undefined;
  /**
   * Arithmetic of the linear layers inside the transformer layers: `int8` rounds weights and inputs to 8 bits, which is
   * about twice as fast on processors with VNNI or AMX, and changes the results a little.
   * @default 'fp32'
   */
  readonly precision?: Precision | undefined;
  /**
   * Threads that compute. The rows of a batch may be divided among them.
   * @default the number of cores
   */
  readonly threads?: number | undefined;
  /**
   * Rows of logits in memory at a time.
   * @default up to 1024, fewer for a large vocabulary
   */
  readonly softmaxBatch?: number | undefined;
  /** Folder for converted checkpoints, instead of the checkpoint's own. */
  readonly modelCache?: string | undefined;
  /** Settings of the checkpoint to replace, as with fairseq's `--model-overrides`. */
  readonly modelOverrides?: Record<string, unknown> | undefined;
  /**
   * For a model that was exported to ONNX: its own id of each entry of the dictionary, -1 where it has none,
   * `[dictionary size]`. Everything else is then in ids of the dictionary: batches, targets, `info.vocabSize` and
   * `info.padIndex`. Without it the ids of the text are the model's own, and 1 is padding.
   */
  readonly modelTokenIds?: Int32Array | undefined;
}

/** What is known about an open model. */
export interface LanguageModelInfo {
  /** A fairseq checkpoint, or a model that was exported to ONNX, whose vocabulary may be padded. */
  readonly kind: 'fairseq' | 'onnx';
  /** Number of entries of the dictionary that the model needs; the length of `modelTokenIds` where that was given. */
  readonly vocabSize: number;
  /** Id of the padding symbol in fairseq's data, which is not scored there. */
  readonly padIndex: number;
  /** Ids of the dictionary are turned into the model's own (`modelTokenIds`). */
  readonly mapsTokenIds: boolean;
  /** Width of the captured hidden states. */
  readonly keyDimension: number;
  /** Longest sample that the model was made for. */
  readonly maxPositions: number;
  /** Width of the model. */
  readonly embedDim: number;
  /** Number of layers. */
  readonly layers: number;
  /** Whether samples begin with `<s>`. */
  readonly addBosToken: boolean;
  /** SHA-256 (hex) that is equal exactly for models that compute the same; `int8` differs from `fp32`. */
  readonly fingerprint: string;
  /** Captured module, indices from the front: `layers[3].final_layer_norm`. */
  readonly moduleToCapture: string;
  /** Precision of the hidden states that are given back. */
  readonly keysDtype: KeysDtype;
  /** Where the model runs. */
  readonly device: Device;
  /** Arithmetic of the linear layers. */
  readonly precision: Precision;
  /** Threads that compute. */
  readonly threads: number;
  /** Rows of logits in memory at a time. */
  readonly softmaxBatch: number;
  /** The model folder. */
  readonly folder: string;
  /** Number of parameters. */
  readonly parameters: number;
}
