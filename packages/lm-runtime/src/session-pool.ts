import type { Logger } from '@knn-lm/common';
import type { LmRunBatch } from './batch.js';
import { openOnDevice, type Device } from './device.js';
import { LmRuntimeError } from './errors.js';
import type { RunResponse, SessionSpecification } from './messages.js';
import { runParts, wantedRowCount, type RunPart } from './run-parts.js';
import { WorkerSession } from './worker-session.js';

/** Weights of all sessions together; each keeps a copy that is laid out for its matrix products. */
const sharedWeightsLimit = 2 ** 28;

/** Each worker thread costs some 20 MB and some time to start; beyond this they get several threads each. */
const mostSmallSessions = 16;

/** What every run of a pool has in common. */
export interface PoolOptions extends SessionSpecification {
  /** Width of the hidden states. */
  readonly keyDimension: number;
  /** Hidden states in half precision. */
  readonly halfKeys: boolean;
  /** The graph gives log-probabilities too. */
  readonly scores: boolean;
  /** Rows of logits in memory at a time. */
  readonly softmaxBatch: number;
  /** Size of the model. */
  readonly parameters: number;
}

/**
 * Sessions of one model. One uses all threads together. For batches of many rows and a small model there are besides it
 * sessions of one thread each (several beyond 16 threads), among which the rows are divided: threads that share one small matrix product wait for
 * each other too often (2 cores, 5 million parameters: 12 % faster on a quiet machine, twice as fast on a busy one).
 */
export class SessionPool {
  /** Where the model runs. */
  readonly device: Device;
  readonly #options: PoolOptions;
  readonly #whole: WorkerSession;
  #small: Promise<WorkerSession[]> | undefined;
  /** Parts given to each small session and not finished. */
  readonly #load: number[];
  readonly #running = new Set<Promise<RunResponse>>();
  #closed: Promise<void> | undefined;

  private constructor(options: PoolOptions, whole: WorkerSession, device: Device) {
    this.#options = options;
    this.#whole = whole;
    this.device = device;
    const fitting = Math.floor(sharedWeightsLimit / options.parameters);
    const count = device === 'cpu' ? Math.min(options.threads, fitting, mostSmallSessions) : 1;
    this.#load = new Array<number>(count < 2 ? 0 : count).fill(0);
  }

  /**
   * Opens the session that uses all threads; the others follow with the first batch that needs them.
   *
   * @throws LmRuntimeError `DEVICE_UNKNOWN`, `SESSION_FAILED`
   */
  static async open(options: PoolOptions, logger?: Logger): Promise<SessionPool> {
    const { graph, threads } = options;
    const { session, device } = await openOnDevice({ graph, threads, device: options.device }, logger);
    return new SessionPool(options, session, device);
  }

  /**
   * Runs a checked batch with at least one wanted position.
   *
   * @throws LmRuntimeError `RUN_FAILED`, `WORKER_FAILED`, `CLOSED`
   */
  run(batch: LmRunBatch): Promise<RunResponse> {
    if (this.#closed !== undefined) {
      return Promise.reject(new LmRuntimeError('CLOSED', 'the language model is closed'));
    }
    const run = this.#divide(batch);
    this.#running.add(run);
    return run.finally(() => this.#running.delete(run));
  }

  /** Lets all runs finish, then frees the model: a thread that is stopped within a run aborts the process. */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    await Promise.allSettled(this.#running);
    const small = await this.#small?.catch(() => []);
    await Promise.all([this.#whole, ...(small ?? [])].map((session) => session.close()));
  }

  async #divide(batch: LmRunBatch): Promise<RunResponse> {
    if (!this.#isWorthSplitting(wantedRowCount(batch))) return this.#send(this.#whole, runParts(batch, 1)[0]);
    const parts = runParts(batch, this.#load.length);
    const sessions = await this.#smallSessions();
    return joinResponses(await Promise.all(parts.map((part) => this.#sendToLeastLoaded(sessions, part))));
  }

  /** Rows that leave more than half of the sessions idle go faster with all threads on each product. */
  #isWorthSplitting(rows: number): boolean {
    return rows >= 2 && this.#load.length >= 2 && rows >= this.#load.length / 2;
  }

  #smallSessions(): Promise<WorkerSession[]> {
    const { graph } = this.#options;
    const threads = Math.floor(this.#options.threads / this.#load.length);
    const open = (): Promise<WorkerSession> => WorkerSession.open({ graph, device: 'cpu', threads });
    this.#small ??= Promise.all(this.#load.map(open));
    return this.#small;
  }

  async #sendToLeastLoaded(sessions: readonly WorkerSession[], part: RunPart): Promise<RunResponse> {
    const least = this.#load.indexOf(Math.min(...this.#load));
    this.#load[least]++;
    try {
      return await this.#send(sessions[least], part);
    } finally {
      this.#load[least]--;
    }
  }

  #send(session: WorkerSession, { targets, ...part }: RunPart): Promise<RunResponse> {
    const { keyDimension, halfKeys, scores, softmaxBatch } = this.#options;
    const keyCount = part.positions.length * keyDimension;
    const keys = halfKeys ? new Uint16Array(keyCount) : new Float32Array(keyCount);
    return session.run({ ...part, targets: scores ? targets : undefined, softmaxBatch, keys });
  }
}

function joinResponses(responses: readonly RunResponse[]): RunResponse {
  if (responses.length === 1) return responses[0];
  const logProbs = responses.flatMap((response) => response.logProbs ?? []);
  return {
    keys: joinArrays(responses.map((response) => response.keys)),
    logProbs: logProbs.length === 0 ? undefined : joinArrays(logProbs),
  };
}

function joinArrays<T extends Uint16Array | Float32Array>(arrays: readonly T[]): T {
  const length = arrays.reduce((sum, array) => sum + array.length, 0);
  const joined = new (arrays[0].constructor as new (length: number) => T)(length);
  let at = 0;
  for (const array of arrays) {
    joined.set(array, at);
    at += array.length;
  }
  return joined;
}
