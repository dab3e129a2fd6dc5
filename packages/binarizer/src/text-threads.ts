import { Worker } from 'node:worker_threads';
import { CancelledError, KnnLmError } from '@knn-lm/common';
import { BinarizerError } from './errors.js';
import {
  runTextJob,
  type CountResult,
  type EncodeResult,
  type JobControl,
  type TextJob,
} from './text-jobs.js';
import type { SentError, WorkerMessage } from './text-worker.js';

/** The worker's compiled file; running from the sources (tests), it lies in `dist`. */
const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? '../dist/text-worker.js' : './text-worker.js',
  import.meta.url,
);

/** The result of each kind of job. */
interface JobResults {
  readonly count: CountResult;
  readonly encode: EncodeResult;
}

/**
 * Runs jobs of one kind in at most `threads` threads; with one, or for a single job, in this thread.
 *
 * @param jobs - in order
 * @param threads - how many
 * @param control - stops all of them
 * @param use - given each result when it is there, in any order, so that they need not be kept
 * @throws the error of the first job, in their order, that failed
 */
export async function runTextJobs<Job extends TextJob>(
  jobs: readonly Job[],
  threads: number,
  control: JobControl,
  use: (result: JobResults[Job['kind']]) => void,
): Promise<void> {
  const useAny = use as (result: CountResult | EncodeResult) => void;
  if (threads === 1 || jobs.length <= 1) {
    for (const job of jobs) useAny(await runTextJob(job, control));
    return;
  }
  const errors = new Map<number, unknown>();
  let next = 0;
  const runThread = async () => {
    const worker = new Worker(workerFile);
    try {
      while (next < jobs.length && errors.size === 0) {
        const index = next++;
        await runInWorker(worker, jobs[index], control).then(useAny, (error: unknown) =>
          errors.set(index, error),
        );
      }
    } finally {
      await worker.terminate();
    }
  };
  await Promise.all(Array.from({ length: Math.min(threads, jobs.length) }, runThread));
  // Jobs are begun in order, so that an earlier one that fails, too, has been waited for.
  if (errors.size > 0) throw errors.get(Math.min(...errors.keys()));
}

function runInWorker(worker: Worker, job: TextJob, control: JobControl): Promise<CountResult | EncodeResult> {
  return new Promise((resolve, reject) => {
    const stop = () => settle(() => reject(new CancelledError('stopped while reading the text')));
    const onMessage = (message: WorkerMessage) => {
      if (message.kind === 'bytes') control.onBytes?.(message.byteCount);
      else if (message.kind === 'done') settle(() => resolve(message.result));
      else settle(() => reject(received(message.error)));
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
    if (control.signal?.aborted) stop();
    else worker.postMessage(job);
  });
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function received({ name, code, message, hint, details }: SentError): Error {
  if (code === undefined) return new Error(message);
  const options = { details, ...(hint === undefined ? {} : { hint }) };
  return name === 'BinarizerError'
    ? new BinarizerError(code, message, options)
    : new KnnLmError(code, message, options);
}
