import { spawnSync } from 'node:child_process';

/** One job, or task of an array, in Slurm's queue. */
export interface QueuedTask {
  /** Job or array. */
  readonly job: string;
  /** Numbers of the tasks in the array; one for a running task, several while they wait. Empty without an array. */
  readonly tasks: readonly number[];
  /** Slurm's state: `PENDING`, `RUNNING`, ... */
  readonly state: string;
  /** Why it waits. */
  readonly reason: string;
  /** Node that it runs on. */
  readonly node: string;
}

/** A query of a thousand tasks takes a moment, a controller that hangs is not waited for. */
const timeoutMs = 30_000;

/**
 * What Slurm has of these jobs in its queue.
 *
 * @param jobs - numbers of jobs
 * @returns `undefined` where there is no Slurm, or it does not answer
 */
export function readQueue(jobs: readonly string[]): QueuedTask[] | undefined {
  if (jobs.length === 0) return [];
  // --jobs is an error as soon as one job is too old to be known: ask for all of this user's.
  const { status, stdout } = spawnSync('squeue', ['--noheader', '--me', '--format=%i|%T|%r|%N'], {
    encoding: 'utf8',
    timeout: timeoutMs,
    maxBuffer: 1 << 28,
  });
  if (status !== 0) return undefined;
  const wanted = new Set(jobs);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map(parseQueueLine)
    .filter(({ job }) => wanted.has(job));
}

/** `123_4|RUNNING|None|n1`, `123_[5-7,9%2]|PENDING|Dependency|`, `123|...`. */
export function parseQueueLine(line: string): QueuedTask {
  const [id, state = '', reason = '', node = ''] = line.trim().split('|');
  const [job, tasks] = id.split('_');
  return { job, tasks: tasks === undefined ? [] : parseTasks(tasks), state, reason, node };
}

function parseTasks(text: string): number[] {
  return text
    .replace(/[[\]]/g, '')
    .replace(/%\d+$/, '')
    .split(',')
    .flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number);
      return Number.isInteger(first) && last - first < 1e6
        ? Array.from({ length: last - first + 1 }, (_, i) => first + i)
        : [];
    });
}

/** How Slurm's books say that a task ended. */
export interface EndedTask {
  /** `123`, or `123_4`. */
  readonly id: string;
  /** `FAILED`, `TIMEOUT`, `OUT_OF_MEMORY`, `NODE_FAIL`, `CANCELLED`, ... */
  readonly state: string;
}

/**
 * How jobs ended, where the site keeps books (sacct).
 *
 * @param jobs - numbers of jobs
 */
export function readAccounting(jobs: readonly string[]): EndedTask[] {
  if (jobs.length === 0) return [];
  const args = [
    '--noheader',
    '--parsable2',
    '--allocations',
    '--format=JobID,State',
    `--jobs=${jobs.join(',')}`,
  ];
  const { status, stdout } = spawnSync('sacct', args, { encoding: 'utf8', timeout: timeoutMs });
  if (status !== 0) return [];
  return stdout
    .split('\n')
    .filter((line) => line.includes('|'))
    .map((line) => {
      const [id, state] = line.split('|');
      return { id, state: state.split(' ')[0] };
    });
}
