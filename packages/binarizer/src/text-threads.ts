import { Worker } from 'node:worker_threads';
import { BinarizerError } from './errors.js';
import { CancelledError, KnnLmError } from '@knn-lm/common';
import { firstFailure, JobQueue } from './job-queue.js';
import { runTextTask, type TaskResults, type TextTask } from './text-jobs.js';
import type { ScanControl, TextNumbering } from './text-numbering.js';
import type { SentError, ToWorker, FromWorker } from './text-worker.js';

/** The worker's compiled file; running from the sources (tests), it lies in `dist`. */
const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? '../dist/text-worker.js' : './text-worker.js',
  import.meta.url,
);

/** Threads that share tasks: this one, and workers, which are begun when there is enough to do and kept until the end. */
export class TextThreads {
  /** How many threads there are at most. */
  readonly count: number;
  readonly #workers: Worker[] = [];
  /** This thread's access to tables of words. */
  readonly #numberings = new Map<number, TextNumbering>();

  /** @param count - threads, with this one */
  constructor(count: number) {
    this.count = count;
  }

  /**
   * Does a task.
   *
   * @param task - what to do
   * @param jobs - how many jobs it has
   * @param threads - how many share it at most
   * @param control - watches and stops it
   * @returns what each thread did
   * @throws the error of the first job, in their order, that failed, when all threads have stopped
   */
  async run<Task extends TextTask>(
    task: Task,
    jobs: number,
    threads: number,
    control: ScanControl,
  ): Promise<TaskResults[Task['kind']][]> {
    const queue = new JobQueue(jobs);
    const shares = Array.from({ length: Math.max(1, Math.min(threads, jobs)) }, async (_, thread) => {
      const work =
        thread === 0
          ? runTextTask(task, { thread, queue, control, numberings: this.#numberings })
          : runInWorker(
              this.#worker(thread),
              { kind: 'task', task, thread, jobs, queue: queue.shared },
              control,
            );
      return work.catch((error: unknown) => {
        queue.stop();
        return { failure: { job: jobs, error } };
      });
    });
    const results = await Promise.all(shares);
    const failure = firstFailure(results.map((result) => result.failure));
    if (failure !== undefined) throw failure.error;
    return results as TaskResults[Task['kind']][];
  }

  /** Ends the workers. */
  async close(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.terminate()));
  }

  #worker(thread: number): Worker {
    // Not with this process's options: those of `node --eval` would be an error there.
    return (this.#workers[thread - 1] ??= new Worker(workerFile, { execArgv: [] }));
  }
}

type WorkerResult = TaskResults[TextTask['kind']];

function runInWorker(worker: Worker, message: ToWorker, control: ScanControl): Promise<WorkerResult> {
  return new Promise((resolve, reject) => {
    const stop = () => worker.postMessage({ kind: 'stop' } satisfies ToWorker);
    const onMessage = (message: FromWorker) => {
      if (message.kind === 'bytes') control.onBytes?.(message.byteCount);
      else if (message.kind === 'failed') settle(() => reject(received(message.error)));
      else settle(() => resolve(withErrors(message.result)));
    };
    const onError = (error: unknown) => settle(() => reject(asError(error)));
    const onExit = (code: number) => onError(new Error(`a worker thread ended with status ${code}`));
    const settle = (finish: () => void) => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      control.signal?.removeEventListener('abort', stop);
      finish();
    };
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    control.signal?.addEventListener('abort', stop);
    worker.postMessage(message);
    if (control.signal?.aborted) stop();
  });
}

/** The failure's error was sent as plain data. */
function withErrors(result: WorkerResult): WorkerResult {
  const { failure } = result;
  return failure === undefined
    ? result
    : { ...result, failure: { job: failure.job, error: received(failure.error as SentError) } };
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function received({ name, code, message, hint, details }: SentError): Error {
  if (code === undefined) return new Error(message);
  const options = { details, ...(hint === undefined ? {} : { hint }) };
  if (name === 'CancelledError') return new CancelledError(message, options);
  return name === 'BinarizerError'
    ? new BinarizerError(code, message, options)
    : new KnnLmError(code, message, options);
}
