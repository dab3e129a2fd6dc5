import { throwIfAborted } from '@knn-lm/common';
import { LmRuntimeError } from './errors.js';
import { prepareFairseqSteps } from './fairseq-model.js';
import { Generation } from './generation.js';
import type { LanguageModelInfo, ModelOptions } from './model-options.js';
import { noLimit } from './onnx/model-config.js';
import { findOnnxFile } from './onnx/model-path.js';
import { prepareOnnxSteps } from './onnx/onnx-steps.js';
import { checkOptions, positiveInteger } from './open-request.js';
import type { PreparedSteps } from './prepared-steps.js';
import { WorkerSession } from './worker-session.js';

/** How a language model is opened for generation. */
export interface GenerationModelOptions extends Omit<ModelOptions, 'softmaxBatch'> {
  /**
   * Tokens that a prediction depends on at most; the oldest are forgotten. Memory: 8 bytes for each token, layer and
   * unit of the model's width.
   * @default the longest sample that the model was made for; 2048 where that is not known
   */
  readonly contextLength?: number | undefined;
}

/** Where neither model nor caller says how long a context is. */
const usualContext = 2048;

/**
 * A causal language model, open for generation: gives the whole distribution of the next token, and keeps keys and values
 * of the tokens before, so that a step costs one token. The computation runs in a thread of its own.
 *
 * @example
 * ```ts
 * const model = await GenerationModel.open('model.pt');
 * const generation = await model.start(Int32Array.of(2, 17, 5)); // </s> and two words
 * for (let i = 0; i < 20; i++) {
 *   const best = generation.logProbs.indexOf(Math.max(...generation.logProbs));
 *   await generation.advance(best);
 * }
 * await model.close();
 * ```
 */
export class GenerationModel {
  /** What is known about the model. */
  readonly info: LanguageModelInfo;
  /** Tokens that a prediction depends on at most. */
  readonly contextLength: number;
  /** Keys and values are kept; without them (exported models that do not give them) every step reads the whole context. */
  readonly hasCache: boolean;
  readonly #steps: PreparedSteps;
  readonly #session: WorkerSession;
  readonly #signal: AbortSignal | undefined;
  #rows = 0;
  #closed: Promise<void> | undefined;

  private constructor(
    steps: PreparedSteps,
    session: WorkerSession,
    options: { info: LanguageModelInfo; contextLength: number; signal: AbortSignal | undefined },
  ) {
    this.#steps = steps;
    this.#session = session;
    this.info = options.info;
    this.contextLength = options.contextLength;
    this.hasCache = steps.cache !== undefined;
    this.#signal = options.signal;
  }

  /**
   * Opens an `.onnx` file, a model folder, or a checkpoint, which is converted first where that has not been done.
   *
   * @param path - `model.pt`, its model folder, an `.onnx` file, or a folder with `model.onnx`
   * @param options - captured module, device, threads, context; `signal` stops conversion and later steps
   * @throws {@link LmRuntimeError} and CheckpointError as `LanguageModel.open` does; `OPTION_INVALID` for a context that
   * the model has no positions for
   * @throws CancelledError when the signal has fired
   */
  static async open(path: string, options: GenerationModelOptions = {}): Promise<GenerationModel> {
    const { signal } = options;
    throwIfAborted(signal, 'stopped before the model was open');
    const { request, device } = await checkOptions(options, 'score', 'fp32');
    const wanted = positiveInteger('contextLength', options.contextLength);
    const onnxFile = await findOnnxFile(path);
    const steps =
      onnxFile === undefined
        ? await prepareFairseqSteps(path, request)
        : await prepareOnnxSteps(onnxFile, request, device);
    const { graph, cache, session: opened } = steps;
    const { threads, precision } = request;
    const session = opened ?? (await WorkerSession.open({ graph, cache, device, threads }));
    try {
      throwIfAborted(signal, 'stopped before the model was open');
      const contextLength = checkContext(steps, wanted);
      const common = { keysDtype: 'fp32', precision, threads, device, softmaxBatch: 1 } as const;
      const info = { ...steps.description, ...common, mapsTokenIds: steps.tokenIds !== undefined };
      return new GenerationModel(steps, session, { info, contextLength, signal });
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /**
   * Reads the beginning of a text. Several texts may be continued at once.
   *
   * @param prefix - `[n]` token ids, at least one; fairseq's models expect `</s>` (or `<s>`) before the first word
   * @param options - `signal` stops this text only
   * @throws {@link LmRuntimeError} `PREFIX_EMPTY`, `TOKEN_OUT_OF_RANGE`, `TOKEN_WITHOUT_MODEL_ID`, `PADDING_INSIDE`,
   * `RUN_FAILED`, `CLOSED`
   * @throws CancelledError when a signal has fired
   */
  async start(prefix: Int32Array, options: { signal?: AbortSignal | undefined } = {}): Promise<Generation> {
    if (this.#closed !== undefined) throw new LmRuntimeError('CLOSED', 'the language model is closed');
    const signals = [this.#signal, options.signal].filter((signal) => signal !== undefined);
    const parts = {
      ...{ steps: this.#steps, session: this.#session, contextLength: this.contextLength },
      row: this.#rows++,
      signal: signals.length === 2 ? AbortSignal.any(signals) : signals[0],
    };
    return Generation.start(parts, prefix);
  }

  /** Waits for the step that is being computed, then frees the model and all generations. */
  close(): Promise<void> {
    this.#closed ??= this.#session.close();
    return this.#closed;
  }
}

function checkContext({ description, longestContext }: PreparedSteps, wanted: number | undefined): number {
  const { maxPositions } = description;
  const length = wanted ?? (maxPositions === noLimit ? usualContext : Math.min(maxPositions, longestContext));
  if (length <= longestContext) return length;
  throw new LmRuntimeError(
    'OPTION_INVALID',
    `contextLength is ${length}, but the model has ${longestContext} positions`,
    { details: { contextLength: length, longestContext } },
  );
}
