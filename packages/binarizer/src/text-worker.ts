import { parentPort } from 'node:worker_threads';
import { KnnLmError } from '@knn-lm/common';
import { runTextJob, type CountResult, type EncodeResult, type TextJob } from './text-jobs.js';

/** What a worker thread sends back; errors lose their class on the way and are made again by {@link SentError}. */
export type WorkerMessage =
  | { readonly kind: 'bytes'; readonly byteCount: number }
  | { readonly kind: 'done'; readonly result: CountResult | EncodeResult }
  | { readonly kind: 'failed'; readonly error: SentError };

/** An error as plain data. */
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

parentPort?.on('message', (job: TextJob) => {
  const send = (message: WorkerMessage) => parentPort?.postMessage(message);
  const onBytes = (byteCount: number) => send({ kind: 'bytes', byteCount });
  runTextJob(job, { onBytes }).then(
    (result) => send({ kind: 'done', result }),
    (error: unknown) => send({ kind: 'failed', error: sent(error) }),
  );
});
