import { availableParallelism } from 'node:os';
import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import type { KeysDtype, Precision } from '@knn-lm/checkpoint';
import { checkBatch, type LmRunBatch } from './batch.js';
import { requireDevice, type Device } from './device.js';
import { LmRuntimeError } from './errors.js';
import { prepareFairseqModel } from './fairseq-model.js';
import { findOnnxFile } from './onnx/model-path.js';
import { prepareOnnxModel } from './onnx/onnx-model.js';
import type { ModelRequest, PreparedModel } from './prepared-model.js';
import type { LmRunResult } from './run-contract.js';
import { SessionPool } from './session-pool.js';

/** How a language model is opened. */
export interface LanguageModelOptions extends TaskOptions {
  /** `keys`: hidden states only, without the softmax; `score`: target log-probabilities too. */
  readonly purpose: 'keys' | 'score';
  /**
   * Module whose output is captured, or, of an `.onnx` file, a tensor.
   * @default 'layers[-1].final_layer_norm'; 'features', the input of the output layer, of an `.onnx` file
   */
  readonly moduleToCapture?: string | undefined;
  /**
   * Precision of the hidden states that are given back; they are computed in single precision.
   * @default 'fp16' for the purpose `keys`, 'fp32' for `score`
   */
  readonly keysDtype?: KeysDtype | undefined;
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

/**
 * A causal language model, open for evaluation: a fairseq checkpoint, or a model that was exported to ONNX. The computation runs in a thread of its own, so that the
 * event loop stays free.
 *
 * @example
 * ```ts
 * const model = await LanguageModel.open('model.pt', { purpose: 'score' });
 * const tokens = Int32Array.of(2, 17, 5, 80); // </s> and three words
 * const targets = Int32Array.of(17, 5, 80, 2);
 * const positions = Int32Array.of(0, 1, 2, 3);
 * const { logProbs } = await model.run({ rows: 1, width: 4, tokens, targets, positions });
 * await model.close();
 * ```
 */
export class LanguageModel {
  /** What is known about the model. */
  readonly info: LanguageModelInfo;
  readonly #sessions: SessionPool;
  readonly #prepared: PreparedModel;
  readonly #scores: boolean;
  readonly #signal: AbortSignal | undefined;

  private constructor(
    prepared: PreparedModel,
    sessions: SessionPool,
    { request, device, signal }: { request: ModelRequest; device: Device; signal: AbortSignal | undefined },
  ) {
    const { keysDtype, precision, threads } = request;
    const { softmaxBatch } = prepared;
    const mapsTokenIds = prepared.tokenIds !== undefined;
    this.info = {
      ...prepared.description,
      mapsTokenIds,
      keysDtype,
      precision,
      threads,
      softmaxBatch,
      device,
    };
    this.#prepared = prepared;
    this.#sessions = sessions;
    this.#scores = request.purpose === 'score';
    this.#signal = signal;
  }

  /**
   * Opens an `.onnx` file, a model folder, or a checkpoint, which is converted first where that has not been done.
   *
   * @param path - `model.pt`, its model folder, an `.onnx` file, or a folder with `model.onnx`
   * @param options - purpose, captured module, device, threads; `signal` stops conversion and later runs
   * @throws {@link LmRuntimeError} `OPTION_INVALID`, `DEVICE_UNKNOWN`, `DEVICE_UNAVAILABLE`, `SESSION_FAILED`; for an
   * `.onnx` file also `ONNX_…`, `MODULE_…`, `MODEL_NOT_CAUSAL`, `MODEL_TOKEN_IDS`
   * @throws CheckpointError when the checkpoint cannot be read or has no such module
   * @throws CancelledError when the signal has fired
   */
  static async open(path: string, options: LanguageModelOptions): Promise<LanguageModel> {
    const { purpose, signal } = options;
    throwIfAborted(signal, 'stopped before the model was open');
    const request: ModelRequest = {
      ...options,
      keysDtype: options.keysDtype ?? (purpose === 'keys' ? 'fp16' : 'fp32'),
      precision: checkPrecision(options.precision ?? 'fp32'),
      threads: positiveInteger('threads', options.threads) ?? availableParallelism(),
      softmaxBatch: positiveInteger('softmaxBatch', options.softmaxBatch),
    };
    const device = await requireDevice(options.device ?? 'cpu');
    const onnxFile = await findOnnxFile(path);
    const prepared =
      onnxFile === undefined
        ? await prepareFairseqModel(path, request)
        : await prepareOnnxModel(onnxFile, request, device);
    const { parameters } = prepared.description;
    const sessions = await SessionPool.open({ ...prepared, device, parameters, threads: request.threads });
    if (signal?.aborted) await sessions.close();
    throwIfAborted(signal, 'stopped before the model was open');
    return new LanguageModel(prepared, sessions, { request, device, signal });
  }

  /**
   * Runs the model on a batch. Several runs may be asked for at once: they queue, so that the next batch can be
   * prepared while one is computed.
   *
   * @param batch - token windows and wanted positions; the arrays are copied and stay the caller's
   * @returns hidden states, and log-probabilities for the purpose `score`
   * @throws {@link LmRuntimeError} when the batch does not fit the model (`BATCH_SHAPE`, `BATCH_TOO_WIDE`,
   * `TOKEN_OUT_OF_RANGE`, `TARGET_OUT_OF_RANGE`, `TOKEN_WITHOUT_MODEL_ID`, `TARGET_WITHOUT_MODEL_ID`, `PADDING_FIRST`,
   * `POSITION_INVALID`), `RUN_FAILED`, `CLOSED`
   * @throws CancelledError when the signal given to {@link LanguageModel.open} has fired
   */
  async run(batch: LmRunBatch): Promise<LmRunResult> {
    throwIfAborted(this.#signal, 'stopped between two batches');
    const { limits, tokenIds } = this.#prepared;
    const { paddingInside } = checkBatch(batch, { ...limits, needsTargets: this.#scores });
    const fed = tokenIds?.toModel(batch, this.#scores) ?? batch;
    if (batch.positions.length > 0) return this.#sessions.run(fed, paddingInside);
    const keys = this.info.keysDtype === 'fp16' ? new Uint16Array() : new Float32Array();
    return { keys, logProbs: this.#scores ? new Float32Array() : undefined };
  }

  /** Waits for the runs that were asked for, then frees the model. */
  async close(): Promise<void> {
    await this.#sessions.close();
  }
}

function checkPrecision(precision: string): Precision {
  if (precision === 'fp32' || precision === 'int8') return precision;
  throw new LmRuntimeError('OPTION_INVALID', `precision is ${precision}; fp32 or int8 is expected`, {
    details: { precision },
  });
}

function positiveInteger(name: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value > 0)) return value;
  throw new LmRuntimeError('OPTION_INVALID', `${name} is ${value}; a positive whole number is expected`, {
    details: { [name]: value },
  });
}
