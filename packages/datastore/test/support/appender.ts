import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { DatastoreWriterOptions } from '../../src/index.js';

/** What to append, and how to fail; see `appender.mjs`. */
export interface AppenderTask {
  readonly folder: string;
  readonly options: Omit<DatastoreWriterOptions, 'signal' | 'onProgress' | 'logger'>;
  readonly batch: number;
  /** Appends a text behind so many rows of a finished datastore. */
  readonly first?: number;
  /** Gives the rows weights. */
  readonly weigh?: boolean;
  readonly fault?: 'kill' | 'ENOSPC' | 'EIO';
  readonly at?: number;
  readonly pauseMs?: number;
}

/** How the process ended. */
export interface AppenderResult {
  readonly signal: NodeJS.Signals | null;
  readonly operations?: number;
  readonly committedRows?: number;
  readonly error?: { name: string; code: string; message: string; hint?: string };
}

const script = fileURLToPath(new URL('appender.mjs', import.meta.url));

/**
 * Appends in a child process, which uses the built package.
 *
 * @param task - what to do
 * @param how - a limit in KiB on the size of files, a user to run as, or a time after which it is killed
 */
export async function runAppender(
  task: AppenderTask,
  how: { fileLimitKiB?: number; uid?: number; killAfterMs?: number } = {},
): Promise<AppenderResult> {
  const argument = JSON.stringify(task);
  const limit = how.fileLimitKiB;
  const child =
    limit === undefined
      ? spawn(process.execPath, [script, argument], how.uid === undefined ? {} : { uid: how.uid })
      : spawn('bash', ['-c', `ulimit -f ${limit}; exec "$@"`, 'bash', process.execPath, script, argument]);
  let [out, complaint] = ['', ''];
  child.stdout.on('data', (data: Buffer) => (out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (complaint += data.toString()));
  const timer =
    how.killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), how.killAfterMs);
  const signal = await new Promise<NodeJS.Signals | null>((resolve) =>
    child.on('close', (_, name) => resolve(name)),
  );
  clearTimeout(timer);
  if (signal !== null) return { signal };
  if (out === '') throw new Error(`the appender printed nothing: ${complaint}`);
  return { signal, ...(JSON.parse(out) as Omit<AppenderResult, 'signal'>) };
}
