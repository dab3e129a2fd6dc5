import { availableParallelism } from 'node:os';
import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import {
  defaultModule,
  ensureGraph,
  findModule,
  openModelFolder,
  resolveModelFolder,
  type KeysDtype,
  type LmArchitecture,
  type ModelFolder,
} from '@knn-lm/checkpoint';
import { checkBatch, type LmRunBatch } from './batch.js';
import type { Device } from './device.js';
import { LmRuntimeError } from './errors.js';
import { SessionPool } from './session-pool.js';
import { defaultSoftmaxBatch } from './softmax-batch.js';

/** fairseq's default for --softmax-batch is the largest 64-bit integer; no batch has more rows than this. */
const softmaxBatchLimit = 2 ** 31;

/** How a language model is opened. */
export interface LanguageModelOptions extends TaskOptions {
  /** `keys`: hidden states only, without the softmax; `score`: target log-probabilities too. */
  readonly purpose: 'keys' | 'score';
  /**
   * Module whose output is captured.
   * @default 'layers[-1].final_layer_norm'
   */
  readonly moduleToCapture?: string | undefined;
  /**
   * Precision of the hidden states that are given back; they are computed in single precision.
   * @default 'fp16' for the purpose `keys`, 'fp32' for `score`
   */
  readonly keysDtype?: KeysDtype | undefined;
  /**
   * Where the model runs; the CPU where that is not available.
   * @default 'cpu'
   */
  readonly device?: Device | undefined;
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
}

/** What is known about an open model. */
export interface LanguageModelInfo {
  /** Number of entries of the dictionary that the model needs. */
  readonly vocabSize: number;
  /** Id of the padding symbol. */
  readonly padIndex: number;
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
  /** SHA-256 (hex) that is equal exactly for models that compute the same. */
  readonly fingerprint: string;
  /** Captured module, indices from the front: `layers[3].final_layer_norm`. */
  readonly moduleToCapture: string;
  /** Precision of the hidden states that are given back. */
  readonly keysDtype: KeysDtype;
  /** Where the model runs. */
  readonly device: Device;
  /** Threads that compute. */
  readonly threads: number;
  /** Rows of logits in memory at a time. */
  readonly softmaxBatch: number;
  /** The model folder. */
  readonly folder: string;
  /** Number of parameters. */
  readonly parameters: number;
}

/** What one run gives. */
export interface LmRunResult {
  /** Hidden states of the wanted positions, `[positions.length, keyDimension]`; fp16 as 16-bit patterns. */
  readonly keys: Uint16Array | Float32Array;
  /** Natural log-probability of each wanted position's target, `[positions.length]`; only for the purpose `score`. */
  readonly logProbs: Float32Array | undefined;
}

/**
 * A fairseq transformer language model, open for evaluation. The computation runs in a thread of its own, so that the
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
  readonly #purpose: 'keys' | 'score';
  readonly #maxWidth: number;
  readonly #signal: AbortSignal | undefined;

  private constructor(
    info: LanguageModelInfo,
    sessions: SessionPool,
    options: { purpose: 'keys' | 'score'; maxWidth: number; signal: AbortSignal | undefined },
  ) {
    this.info = info;
    this.#sessions = sessions;
    this.#purpose = options.purpose;
    this.#maxWidth = options.maxWidth;
    this.#signal = options.signal;
  }

  /**
   * Opens a model folder, or a checkpoint, which is converted first where that has not been done.
   *
   * @param path - model folder or `model.pt`
   * @param options - purpose, captured module, device, threads; `signal` stops conversion and later runs
   * @throws {@link LmRuntimeError} `OPTION_INVALID`, `DEVICE_UNKNOWN`, `SESSION_FAILED`
   * @throws CheckpointError when the checkpoint cannot be read or has no such module
   * @throws CancelledError when the signal has fired
   */
  static async open(path: string, options: LanguageModelOptions): Promise<LanguageModel> {
    const { purpose, signal, logger } = options;
    throwIfAborted(signal, 'stopped before the model was open');
    const threads = positiveInteger('threads', options.threads) ?? availableParallelism();
    const wantedBatch = positiveInteger('softmaxBatch', options.softmaxBatch);
    const folder = openModelFolder(await resolveModelFolder(path, options));
    const { architecture } = folder;
    const module = findModule(architecture, options.moduleToCapture ?? defaultModule);
    const keysDtype = options.keysDtype ?? (purpose === 'keys' ? 'fp16' : 'fp32');
    const graph = await ensureGraph(folder, purpose, module.path, keysDtype);
    throwIfAborted(signal, 'stopped before the model was open');
    const softmaxBatch = Math.min(wantedBatch ?? defaultSoftmaxBatch(architecture), softmaxBatchLimit);
    const sessions = await SessionPool.open(
      {
        ...{ graph, threads, softmaxBatch, device: options.device ?? 'cpu' },
        keyDimension: module.dimension,
        halfKeys: keysDtype === 'fp16',
        scores: purpose === 'score',
        parameters: folder.parameters,
      },
      logger,
    );
    const info: LanguageModelInfo = {
      ...describe(folder),
      keyDimension: module.dimension,
      moduleToCapture: module.path,
      ...{ keysDtype, threads, softmaxBatch, device: sessions.device },
    };
    return new LanguageModel(info, sessions, { purpose, maxWidth: longestWindow(architecture), signal });
  }

  /**
   * Runs the model on a batch. Several runs may be asked for at once: they queue, so that the next batch can be
   * prepared while one is computed.
   *
   * @param batch - token windows and wanted positions; the arrays are copied and stay the caller's
   * @returns hidden states, and log-probabilities for the purpose `score`
   * @throws {@link LmRuntimeError} when the batch does not fit the model (`BATCH_SHAPE`, `BATCH_TOO_WIDE`,
   * `TOKEN_OUT_OF_RANGE`, `TARGET_OUT_OF_RANGE`, `PADDING_NOT_RIGHT`, `POSITION_INVALID`), `RUN_FAILED`, `CLOSED`
   * @throws CancelledError when the signal given to {@link LanguageModel.open} has fired
   */
  async run(batch: LmRunBatch): Promise<LmRunResult> {
    throwIfAborted(this.#signal, 'stopped between two batches');
    const { vocabSize, padIndex, keysDtype } = this.info;
    const scores = this.#purpose === 'score';
    checkBatch(batch, { vocabSize, padIndex, maxWidth: this.#maxWidth, needsTargets: scores });
    if (batch.positions.length > 0) return this.#sessions.run(batch);
    const keys = keysDtype === 'fp16' ? new Uint16Array() : new Float32Array();
    return { keys, logProbs: scores ? new Float32Array() : undefined };
  }

  /** Waits for the runs that were asked for, then frees the model. */
  async close(): Promise<void> {
    await this.#sessions.close();
  }
}

function describe(folder: ModelFolder) {
  const { vocabSize, padIndex, maxPositions, embedDim, layers, addBosToken } = folder.architecture;
  const { fingerprint, parameters } = folder;
  return {
    ...{ vocabSize, padIndex, maxPositions, embedDim, layers, addBosToken },
    ...{ fingerprint, parameters, folder: folder.folder },
  };
}

/** Only a learned table ends; sines and cosines go on, and so does a model without positions. */
function longestWindow({ positions, maxPositions }: LmArchitecture): number {
  return positions === 'learned' ? maxPositions : Infinity;
}

function positiveInteger(name: string, value: number | undefined): number | undefined {
  if (value === undefined || (Number.isInteger(value) && value > 0)) return value;
  throw new LmRuntimeError('OPTION_INVALID', `${name} is ${value}; a positive whole number is expected`, {
    details: { [name]: value },
  });
}
