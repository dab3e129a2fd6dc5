import { parentPort } from 'node:worker_threads';
import { KnnLmError } from '@knn-lm/common';
import { JobQueue, type SharedQueue } from './job-queue.js';
import type { TextNumbering } from './text-numbering.js';
import { runTextTask, type TaskResults, type TextTask } from './text-jobs.js';

/** What a worker thread is sent. */
export type ToWorker =
  | {
      readonly kind: 'task';
      readonly task: TextTask;
      readonly thread: number;
      readonly jobs: number;
      readonly queue: SharedQueue;
    }
  | { readonly kind: 'stop' };

/** What a worker thread sends back; an error, of a failure too, is sent as {@link SentError}. */
export type FromWorker =
  | { readonly kind: 'bytes'; readonly byteCount: number }
  | { readonly kind: 'done'; readonly result: TaskResults[TextTask['kind']] }
  | { readonly kind: 'failed'; readonly error: SentError };

/** An error as plain data: it would lose its class on the way. */
export interface SentError {
  readonly name: string;
  readonly code: string | undefined;
  readonly message: string;
  readonly hint: string | undefined;
  readonly details: KnnLmError['details'];
}

function sent(error: unknown): SentError {
  if (error instanceof KnnLmError) {
    const { name, code, message, hint, details } = error;
    return { name, code, message, hint, details };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { name: 'Error', code: undefined, message, hint: undefined, details: {} };
}

const send = (message: FromWorker) => parentPort?.postMessage(message);

/** This thread's access to tables of words. */
const numberings = new Map<number, TextNumbering>();

let controller = new AbortController();

parentPort?.on('message', (message: ToWorker) => {
  if (message.kind === 'stop') {
    controller.abort();
    return;
  }
  controller = new AbortController();
  const control = {
    signal: controller.signal,
    onBytes: (byteCount: number) => send({ kind: 'bytes', byteCount }),
  };
  const queue = new JobQueue(message.jobs, message.queue);
  runTextTask(message.task, { thread: message.thread, queue, control, numberings }).then(
    (result) => {
      const { failure } = result;
      const plain = failure && { job: failure.job, error: sent(failure.error) };
      send({ kind: 'done', result: { ...result, failure: plain } });
    },
    (error: unknown) => send({ kind: 'failed', error: sent(error) }),
  );
});
