import type { LmRunBatch } from './batch.js';
import { LmRuntimeError } from './errors.js';
import type { LmRunResult, RunContract } from './run-contract.js';
import type { GraphSource, SessionSpecification } from './messages.js';
import { joinResults } from './join-results.js';
import { runParts, wantedRowCount, type RunPart } from './run-parts.js';
import { WorkerSession } from './worker-session.js';

/** Weights of all sessions together; each keeps a copy that is laid out for its matrix products. */
const sharedWeightsLimit = 2 ** 28;

/** Each worker thread costs some 20 MB and some time to start; beyond this they get several threads each. */
const mostSmallSessions = 16;

/** What every run of a pool has in common. */
export interface PoolOptions extends SessionSpecification {
  /** Makes the graph for batches with padding before tokens. */
  readonly paddedGraph?: (() => GraphSource) | undefined;
  /** A session of the graph that is open already, with all threads. */
  readonly session?: WorkerSession | undefined;
  /** What the graph is fed, and what it gives. */
  readonly contract: RunContract;
  /** Rows of logits in memory at a time. */
  readonly softmaxBatch: number;
  /** Size of the model. */
  readonly parameters: number;
}

/**
 * Sessions of one model. One uses all threads together. For batches of many rows and a small model there are others of
 * one thread each (several beyond 16 threads), among which the rows are divided: threads that share one small matrix
 * product wait for each other too often (2 cores, 5 million parameters: 12 % faster on a quiet machine, twice as fast on
 * a busy one).
 */
export class SessionPool {
  readonly #options: PoolOptions;
  readonly #whole: WorkerSession;
  #small: Promise<WorkerSession[]> | undefined;
  #padded: Promise<WorkerSession> | undefined;
  /** Parts given to each small session and not finished. */
  readonly #load: number[];
  readonly #running = new Set<Promise<LmRunResult>>();
  #closed: Promise<void> | undefined;

  private constructor(options: PoolOptions, whole: WorkerSession) {
    this.#options = options;
    this.#whole = whole;
    const fitting = Math.floor(sharedWeightsLimit / options.parameters);
    const count = options.device === 'cpu' ? Math.min(options.threads, fitting, mostSmallSessions) : 1;
    this.#load = new Array<number>(count < 2 ? 0 : count).fill(0);
  }

  /**
   * Opens the session that uses all threads; the others follow with the first batch that needs them.
   *
   * @throws LmRuntimeError `SESSION_FAILED`
   */
  static async open(options: PoolOptions): Promise<SessionPool> {
    const { graph, threads, device } = options;
    const whole = options.session ?? (await WorkerSession.open({ graph, threads, device }));
    return new SessionPool(options, whole);
  }

  /**
   * Runs a checked batch with at least one wanted position.
   *
   * @param batch - the batch
   * @param paddingInside - padding stands at or before a wanted position
   * @throws LmRuntimeError `RUN_FAILED`, `WORKER_FAILED`, `CLOSED`
   */
  run(batch: LmRunBatch, paddingInside: boolean): Promise<LmRunResult> {
    if (this.#closed !== undefined) {
      return Promise.reject(new LmRuntimeError('CLOSED', 'the language model is closed'));
    }
    const run = paddingInside ? this.#runPadded(batch) : this.#divide(batch);
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
    const padded = await this.#padded?.catch(() => undefined);
    const sessions = [this.#whole, ...(small ?? []), ...(padded === undefined ? [] : [padded])];
    await Promise.all(sessions.map((session) => session.close()));
  }

  async #divide(batch: LmRunBatch): Promise<LmRunResult> {
    if (!this.#isWorthSplitting(wantedRowCount(batch))) return this.#runOn(this.#whole, batch);
    const parts = runParts(batch, this.#load.length);
    const sessions = await this.#smallSessions();
    return joinResults(
      parts,
      await Promise.all(parts.map((part) => this.#sendToLeastLoaded(sessions, part))),
    );
  }

  /** Parts that one session computes one after the other. */
  async #runOn(session: WorkerSession, batch: LmRunBatch): Promise<LmRunResult> {
    const parts = runParts(batch, 1);
    return joinResults(parts, await Promise.all(parts.map((part) => this.#send(session, part, 1))));
  }

  /** Texts that hold the symbol `<pad>` are rare: their graph is opened with the first one. */
  async #runPadded(batch: LmRunBatch): Promise<LmRunResult> {
    const { paddedGraph, threads, device } = this.#options;
    if (paddedGraph === undefined) return this.#divide(batch);
    this.#padded ??= WorkerSession.open({ graph: paddedGraph(), threads, device });
    return this.#runOn(await this.#padded, batch);
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

  async #sendToLeastLoaded(sessions: readonly WorkerSession[], part: RunPart): Promise<LmRunResult> {
    const least = this.#load.indexOf(Math.min(...this.#load));
    this.#load[least]++;
    try {
      return await this.#send(sessions[least], part, sessions.length);
    } finally {
      this.#load[least]--;
    }
  }

  /** @param sharers - sessions that may hold logits at the same time */
  async #send(session: WorkerSession, part: RunPart, sharers: number): Promise<LmRunResult> {
    const { contract, softmaxBatch } = this.#options;
    return contract.result(await session.run(contract.request(part, Math.ceil(softmaxBatch / sharers))));
  }
}
