import type { CacheLayout, GraphSource } from './messages.js';
import type { ModelTokenIds } from './onnx/model-token-ids.js';
import type { PreparedModel } from './prepared-model.js';
import type { StepContract } from './step-contract.js';
import type { WorkerSession } from './worker-session.js';

/** A model that is ready to continue texts. */
export interface PreparedSteps {
  /** What ONNX Runtime loads. */
  readonly graph: GraphSource;
  /** The session that was opened for a trial; it is used further. */
  readonly session?: WorkerSession | undefined;
  /** What is kept from step to step; without it every step computes the whole context. */
  readonly cache: CacheLayout | undefined;
  /** How it is fed. */
  readonly contract: StepContract;
  /** Ids of a text are below this, and none is this padding (-1: there is none). */
  readonly limits: { readonly vocabSize: number; readonly padIndex: number };
  /** Longest context that the model has positions for. */
  readonly longestContext: number;
  /** Turns ids of the dictionary into those of the model, where these differ. */
  readonly tokenIds?: ModelTokenIds | undefined;
  /** What is known about it. */
  readonly description: PreparedModel['description'];
}
