import { parentPort } from 'node:worker_threads';
import { KnnLmError } from '@knn-lm/common';
import { verifyPart, type PartReport, type VerifyPart } from './verify-part.js';

/** An error as plain data: its class is lost between threads. */
export interface SentError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | undefined;
  readonly details: KnnLmError['details'];
}

/** What a thread that verifies parts says. */
export type VerifyMessage =
  | { readonly kind: 'bytes'; readonly count: number }
  | { readonly kind: 'done'; readonly report: PartReport }
  | { readonly kind: 'failed'; readonly error: SentError };

parentPort?.on('message', (part: VerifyPart) => {
  const send = (message: VerifyMessage) => parentPort?.postMessage(message);
  verifyPart(part, { onBytes: (count) => send({ kind: 'bytes', count }) }).then(
    (report) => send({ kind: 'done', report }),
    (error: unknown) => send({ kind: 'failed', error: sent(error) }),
  );
});

function sent(error: unknown): SentError {
  if (error instanceof KnnLmError) {
    const { code, message, hint, details } = error;
    return { code, message, hint, details };
  }
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: 'DATASTORE_THREAD', message, hint: undefined, details: {} };
}
