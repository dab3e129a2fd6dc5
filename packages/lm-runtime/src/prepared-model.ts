import type { KeysDtype, Precision } from '@knn-lm/checkpoint';
import type { TaskOptions } from '@knn-lm/common';
import type { BatchLimits } from './batch.js';
import type { LanguageModelInfo } from './model-options.js';
import type { GraphSource } from './messages.js';
import type { ModelTokenIds } from './onnx/model-token-ids.js';
import type { RunContract } from './run-contract.js';
import type { WorkerSession } from './worker-session.js';

/** What is wanted of a model, checked and with defaults. */
export interface ModelRequest extends TaskOptions {
  /** Hidden states only, or target log-probabilities too. */
  readonly purpose: 'keys' | 'score';
  /** Module whose output is captured; the kind of model has a default. */
  readonly moduleToCapture?: string | undefined;
  /** Precision of the hidden states. */
  readonly keysDtype: KeysDtype;
  /** Arithmetic of the linear layers. */
  readonly precision: Precision;
  /** Threads that compute. */
  readonly threads: number;
  /** Rows of logits in memory at a time; a number that suits the model when left out. */
  readonly softmaxBatch: number | undefined;
  /** Folder for converted checkpoints. */
  readonly modelCache?: string | undefined;
  /** Settings of the checkpoint to replace. */
  readonly modelOverrides?: Record<string, unknown> | undefined;
  /** The model's own id of each entry of the dictionary, -1 where it has none; only for exported models. */
  readonly modelTokenIds?: Int32Array | undefined;
}

/** A model that is ready to be loaded. */
export interface PreparedModel {
  /** What ONNX Runtime loads. */
  readonly graph: GraphSource;
  /** Makes the graph for batches with padding before tokens; not needed where padding is a token like others. */
  readonly paddedGraph?: (() => GraphSource) | undefined;
  /** The session that was opened for a trial, with all threads; it is used further. */
  readonly session?: WorkerSession | undefined;
  /** How it is fed. */
  readonly contract: RunContract;
  /** What batches are checked against. */
  readonly limits: Omit<BatchLimits, 'needsTargets'>;
  /** Turns ids of the dictionary into those of the model, where these differ. */
  readonly tokenIds?: ModelTokenIds | undefined;
  /** Rows of logits in memory at a time. */
  readonly softmaxBatch: number;
  /** What is known about it. */
  readonly description: Omit<
    LanguageModelInfo,
    'keysDtype' | 'precision' | 'device' | 'threads' | 'softmaxBatch' | 'mapsTokenIds'
  >;
}

/** fairseq's default for --softmax-batch is the largest 64-bit integer; no batch has more rows than this. */
export const softmaxBatchLimit = 2 ** 31;
