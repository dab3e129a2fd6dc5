import { throwIfAborted } from '@knn-lm/common';
import type { KeysDtype } from '@knn-lm/checkpoint';
import { checkBatch, type LmRunBatch } from './batch.js';
import type { Device } from './device.js';
import { LmRuntimeError } from './errors.js';
import { prepareFairseqModel } from './fairseq-model.js';
import type { LanguageModelInfo, ModelOptions } from './model-options.js';
import { findOnnxFile } from './onnx/model-path.js';
import { prepareOnnxModel } from './onnx/onnx-model.js';
import { checkOptions } from './open-request.js';
import type { ModelRequest, PreparedModel } from './prepared-model.js';
import type { LmRunResult } from './run-contract.js';
import { SessionPool } from './session-pool.js';

/** How a language model is opened for evaluation. */
export interface LanguageModelOptions extends ModelOptions {
  /** `keys`: hidden states only, without the softmax; `score`: target log-probabilities too. */
  readonly purpose: 'keys' | 'score';
  /**
   * Precision of the hidden states that are given back; they are computed in single precision.
   * @default 'fp16' for the purpose `keys`, 'fp32' for `score`
   */
  readonly keysDtype?: KeysDtype | undefined;
}

/**
 * A causal language model, open for evaluation: a fairseq checkpoint, or a model that was exported to ONNX. The computation
 * runs in a thread of its own, so that the event loop stays free.
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
    const keysDtype = options.keysDtype ?? (purpose === 'keys' ? 'fp16' : 'fp32');
    const { request, device } = await checkOptions(options, purpose, keysDtype);
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
   * @param into - receives the hidden states where it is given: at least `[positions.length, keyDimension]` elements of
   * `keysDtype`. Whoever runs many batches saves memory with an array that is used again.
   * @returns hidden states (a view of `into`), and log-probabilities for the purpose `score`
   * @throws {@link LmRuntimeError} when the batch does not fit the model (`BATCH_SHAPE`, `BATCH_TOO_WIDE`,
   * `TOKEN_OUT_OF_RANGE`, `TARGET_OUT_OF_RANGE`, `TOKEN_WITHOUT_MODEL_ID`, `TARGET_WITHOUT_MODEL_ID`, `PADDING_FIRST`,
   * `POSITION_INVALID`), `OPTION_INVALID` for an unsuitable `into`, `RUN_FAILED`, `CLOSED`
   * @throws CancelledError when the signal given to {@link LanguageModel.open} has fired
   */
  async run(batch: LmRunBatch, into?: LmRunResult['keys']): Promise<LmRunResult> {
    throwIfAborted(this.#signal, 'stopped between two batches');
    const { limits, tokenIds } = this.#prepared;
    const { paddingInside } = checkBatch(batch, { ...limits, needsTargets: this.#scores });
    if (into !== undefined) this.#checkReceiver(into, batch.positions.length);
    const fed = tokenIds?.toModel(batch, this.#scores) ?? batch;
    if (batch.positions.length > 0) return this.#sessions.run(fed, paddingInside, into);
    const keys = this.info.keysDtype === 'fp16' ? new Uint16Array() : new Float32Array();
    return { keys, logProbs: this.#scores ? new Float32Array() : undefined };
  }

  #checkReceiver(into: LmRunResult['keys'], positions: number): void {
    const { keysDtype, keyDimension } = this.info;
    const isDtype = into instanceof (keysDtype === 'fp16' ? Uint16Array : Float32Array);
    const needed = positions * keyDimension;
    if (isDtype && into.length >= needed) return;
    throw new LmRuntimeError(
      'OPTION_INVALID',
      `the hidden states are ${needed} elements of ${keysDtype}; they do not fit ${into.constructor.name} of ${into.length}`,
      { details: { found: into.length, expected: needed, keysDtype } },
    );
  }

  /** Waits for the runs that were asked for, then frees the model. */
  async close(): Promise<void> {
    await this.#sessions.close();
  }
}
