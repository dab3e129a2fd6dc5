/** The part of a {@link JobQueue} that goes to other threads. */
export type SharedQueue = SharedArrayBuffer;

/** A job that failed. */
export interface JobFailure {
  /** Which. */
  readonly job: number;
  readonly error: unknown;
}

/** The failure of the earliest job. */
export function firstFailure(failures: readonly (JobFailure | undefined)[]): JobFailure | undefined {
  return failures.reduce(
    (a, b) => (a === undefined || (b !== undefined && b.job < a.job) ? b : a),
    undefined,
  );
}

/** Jobs 0 to `count - 1`, each of which one of several threads takes; in order, so that no thread waits for another. */
export class JobQueue {
  readonly #count: number;
  /** The next job; and 1 when a job has failed. */
  readonly #state: Int32Array;

  /**
   * @param count - of jobs
   * @param shared - the queue of another thread
   */
  constructor(count: number, shared: SharedQueue = new SharedArrayBuffer(8)) {
    this.#count = count;
    this.#state = new Int32Array(shared);
  }

  /** To be given to another thread. */
  get shared(): SharedQueue {
    return this.#state.buffer as SharedArrayBuffer;
  }

  /**
   * Runs jobs until none is left or one has failed, in whatever thread.
   *
   * @returns the job that failed here. Jobs are begun in order, so that the first of all that fail is always among the
   * failures of all threads
   */
  async run(runJob: (job: number) => Promise<void>): Promise<JobFailure | undefined> {
    while (Atomics.load(this.#state, 1) === 0) {
      const job = Atomics.add(this.#state, 0, 1);
      if (job >= this.#count) return undefined;
      try {
        await runJob(job);
      } catch (error) {
        this.stop();
        return { job, error };
      }
    }
    return undefined;
  }

  /** Lets no thread begin another job. */
  stop(): void {
    Atomics.store(this.#state, 1, 1);
  }
}
