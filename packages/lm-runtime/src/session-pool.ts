import type { LmRunBatch } from './batch.js';
import { LmRuntimeError } from './errors.js';
import type { LmRunResult, RunContract } from './run-contract.js';
import type { GraphSource, SessionSpecification } from './messages.js';
import { joinResults } from './join-results.js';
import { OutputBuffers } from './output-buffers.js';
import { runParts, wantedRowCount, type PlacedPart, type RunPart } from './run-parts.js';
import { WorkerSession } from './worker-session.js';

/** Weights of all sessions together; each keeps a copy that is laid out for its matrix products. */
const sharedWeightsLimit = 2 ** 28;

/** Each worker thread costs some 20 MB and some time to start; beyond this they get several threads each. */
const mostSmallSessions = 16;

/**
 * Cells of a part for each thread of a small session: hidden states of this many cells are in memory at a time. With 1,024
 * generation held 60 MB more, with 4,096 another 60 MB, and took the same time or longer (2 cores, 5 million parameters).
 */
const cellsPerThread = 256;

/** The same for the session that uses all threads: a large model's weights are read from memory for every part. */
const cellsPerThreadOfWhole = 1024;

/** Opening a session takes as long as a few batches, and a session is 25 MB with a small model. */
const fewBatches = 8;

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
  #whole: Promise<WorkerSession> | undefined;
  /** Those that were needed so far, by number. */
  readonly #small: Promise<WorkerSession>[] = [];
  #padded: Promise<WorkerSession> | undefined;
  /** Parts given to each small session and not finished. */
  readonly #load: number[];
  /** Batches of few rows so far. */
  #batchesOfFewRows = 0;
  readonly #buffers = new OutputBuffers();
  readonly #running = new Set<Promise<LmRunResult>>();
  #closed: Promise<void> | undefined;

  private constructor(options: PoolOptions) {
    this.#options = options;
    if (options.session !== undefined) this.#whole = Promise.resolve(options.session);
    const fitting = Math.floor(sharedWeightsLimit / options.parameters);
    const count = options.device === 'cpu' ? Math.min(options.threads, fitting, mostSmallSessions) : 1;
    this.#load = new Array<number>(count < 2 ? 0 : count).fill(0);
  }

  /**
   * Opens the session that batches of many rows need first; each of the others follows with the first batch that needs it.
   * A session costs 40 MB with a model of 17 MB: one that no batch needs is not opened.
   *
   * @throws LmRuntimeError `SESSION_FAILED`
   */
  static async open(options: PoolOptions): Promise<SessionPool> {
    const pool = new SessionPool(options);
    if (options.session === undefined)
      await (pool.#load.length > 0 ? pool.#smallSession(0) : pool.#wholeSession());
    return pool;
  }

  /**
   * Runs a checked batch with at least one wanted position.
   *
   * @param batch - the batch
   * @param paddingInside - padding stands at or before a wanted position
   * @param into - receives the hidden states, where it is given
   * @throws LmRuntimeError `RUN_FAILED`, `WORKER_FAILED`, `CLOSED`
   */
  run(batch: LmRunBatch, paddingInside: boolean, into?: LmRunResult['keys']): Promise<LmRunResult> {
    if (this.#closed !== undefined) {
      return Promise.reject(new LmRuntimeError('CLOSED', 'the language model is closed'));
    }
    const run = paddingInside ? this.#runPadded(batch, into) : this.#divide(batch, into);
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
    const opened = [this.#whole, ...this.#small, this.#padded].filter((session) => session !== undefined);
    // One that could not be opened has been reported, and has ended.
    for (const session of await Promise.allSettled(opened)) {
      if (session.status === 'fulfilled') await session.value.close();
    }
  }

  async #divide(batch: LmRunBatch, into?: LmRunResult['keys']): Promise<LmRunResult> {
    if (this.#needsWholeSession(wantedRowCount(batch))) {
      return this.#runOn(await this.#wholeSession(), batch, into);
    }
    const parts = runParts(batch, this.#load.length, cellsPerThread * this.#threadsOfSmall);
    return this.#join(parts, await Promise.all(parts.map((part) => this.#sendToLeastLoaded(part))), into);
  }

  /** Parts that one session computes one after the other. */
  async #runOn(session: WorkerSession, batch: LmRunBatch, into?: LmRunResult['keys']): Promise<LmRunResult> {
    const parts = runParts(batch, 1, cellsPerThreadOfWhole * this.#options.threads);
    return this.#join(parts, await Promise.all(parts.map((part) => this.#send(session, part, 1))), into);
  }

  /** Texts that hold the symbol `<pad>` are rare: their graph is opened with the first one. */
  async #runPadded(batch: LmRunBatch, into?: LmRunResult['keys']): Promise<LmRunResult> {
    const { paddedGraph, threads, device } = this.#options;
    if (paddedGraph === undefined) return this.#divide(batch, into);
    this.#padded ??= WorkerSession.open({ graph: paddedGraph(), threads, device });
    return this.#runOn(await this.#padded, batch, into);
  }

  #join(
    parts: readonly PlacedPart[],
    results: readonly LmRunResult[],
    into?: LmRunResult['keys'],
  ): LmRunResult {
    const joined = joinResults(parts, results, into);
    for (const { keys } of results) this.#buffers.give(keys.buffer as ArrayBuffer);
    return joined;
  }

  /**
   * Rows that leave more than half of the small sessions idle go faster with all threads on each product. Some batches of
   * so few, mostly the first and the last of a text, are not worth opening a session.
   */
  #needsWholeSession(rows: number): boolean {
    if (this.#load.length === 0) return true;
    if (rows >= 2 && rows >= this.#load.length / 2) return false;
    return this.#whole !== undefined || ++this.#batchesOfFewRows > fewBatches;
  }

  #wholeSession(): Promise<WorkerSession> {
    const { graph, threads, device } = this.#options;
    this.#whole ??= WorkerSession.open({ graph, threads, device });
    return this.#whole;
  }

  get #threadsOfSmall(): number {
    return Math.floor(this.#options.threads / this.#load.length);
  }

  #smallSession(number: number): Promise<WorkerSession> {
    const { graph } = this.#options;
    this.#small[number] ??= WorkerSession.open({ graph, device: 'cpu', threads: this.#threadsOfSmall });
    return this.#small[number];
  }

  async #sendToLeastLoaded(part: RunPart): Promise<LmRunResult> {
    const least = this.#load.indexOf(Math.min(...this.#load));
    this.#load[least]++;
    try {
      return await this.#send(await this.#smallSession(least), part, this.#load.length);
    } finally {
      this.#load[least]--;
    }
  }

  /** @param sharers - sessions that may hold logits at the same time */
  async #send(session: WorkerSession, part: RunPart, sharers: number): Promise<LmRunResult> {
    const { contract, softmaxBatch } = this.#options;
    return contract.result(
      await session.run(contract.request(part, Math.ceil(softmaxBatch / sharers), this.#buffers)),
    );
  }
}
