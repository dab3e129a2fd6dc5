import { Worker } from 'node:worker_threads';
import { throwIfAborted } from '@knn-lm/common';
import { DatastoreError } from './error.js';
import { rowBytesOf, verifyPart, type PartControl, type PartReport, type VerifyPart } from './verify-part.js';
import type { SentError, VerifyMessage } from './verify-worker.js';

/** The worker's compiled file; running from the sources (tests), it lies in `dist`. */
const workerFile = new URL(
  import.meta.url.endsWith('.ts') ? '../dist/verify-worker.js' : './verify-worker.js',
  import.meta.url,
);

/** Below this many bytes, starting threads takes longer than it saves. */
const worthThreads = 96 * 2 ** 20;

/**
 * Verifies parts in threads: SHA-256 is slower than a good disk, and one thread has one of them.
 *
 * @param parts - in order
 * @param threads - how many; with one, or for little to do, it is done in this thread
 * @param control - stops all of them
 * @returns the reports, in the order of the parts
 */
export async function verifyParts(
  parts: readonly VerifyPart[],
  threads: number,
  control: PartControl,
): Promise<PartReport[]> {
  const reports = new Array<PartReport>(parts.length);
  const bytes = parts.reduce((sum, part) => sum + part.rows * rowBytesOf(part), 0);
  if (threads === 1 || parts.length <= 1 || bytes < worthThreads) {
    for (const [i, part] of parts.entries()) reports[i] = await verifyPart(part, control);
    return reports;
  }
  const { signal } = control;
  throwIfAborted(signal, stopped);
  const workers = Array.from({ length: Math.min(threads, parts.length) }, () => new Worker(workerFile));
  const end = () => void Promise.all(workers.map((worker) => worker.terminate()));
  signal?.addEventListener('abort', end);
  let next = 0;
  try {
    await Promise.all(
      workers.map(async (worker) => {
        while (next < parts.length) {
          const i = next++;
          reports[i] = await runInWorker(worker, parts[i], control);
        }
      }),
    );
    return reports;
  } catch (error) {
    throwIfAborted(signal, stopped);
    throw error;
  } finally {
    signal?.removeEventListener('abort', end);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

const stopped = 'stopped while the datastore was verified';

function runInWorker(worker: Worker, part: VerifyPart, control: PartControl): Promise<PartReport> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      act();
    };
    const onMessage = (message: VerifyMessage) => {
      if (message.kind === 'bytes') control.onBytes(message.count);
      else if (message.kind === 'done') settle(() => resolve(message.report));
      else settle(() => reject(received(message.error)));
    };
    const onError = (error: unknown) =>
      settle(() => reject(error instanceof Error ? error : new Error(String(error))));
    const onExit = () =>
      settle(() =>
        reject(received({ ...threadEnded, message: `a thread that verified ${part.path} ended` })),
      );
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.postMessage(part);
  });
}

const threadEnded = { code: 'DATASTORE_THREAD', hint: 'Run the command again.', details: {} } as const;

function received({ code, message, hint, details }: SentError): DatastoreError {
  return new DatastoreError(code, message, { ...(hint === undefined ? {} : { hint }), details });
}
