import { spawnSync } from 'node:child_process';
import { activityOf } from './slurm-state.js';

/** One job, or some tasks of an array, as Slurm knows them. */
export interface QueuedTask {
  /** Job or array. */
  readonly job: string;
  /** Numbers of the tasks in the array; one for a running task, several while they wait. Empty without an array. */
  readonly tasks: readonly number[];
  /** Slurm's state: `PENDING`, `RUNNING`, `TIMEOUT`, ... */
  readonly state: string;
  /** Why it waits, or ended. */
  readonly reason: string;
  /** Node that it runs or ran on. */
  readonly node: string;
}

/** A query of a thousand tasks takes a moment, a controller that hangs is not waited for. */
const timeoutMs = 30_000;

/**
 * What Slurm's controller knows of these jobs: what is in its queue, and what has ended in the last minutes.
 *
 * @param jobs - numbers of jobs
 * @param owner - number of the user who submitted them, should that be somebody else
 * @returns `undefined` where there is no Slurm, or it does not answer
 */
export function readQueue(jobs: readonly string[], owner?: number): QueuedTask[] | undefined {
  if (jobs.length === 0) return [];
  const users = new Set([process.getuid?.(), owner].filter((user) => user !== undefined));
  // --jobs is an error as soon as one job is too old to be known: ask for all of the user's.
  const args = ['--noheader', `--user=${[...users].join(',')}`, '--states=all', '--format=%i|%T|%r|%N'];
  const { status, stdout } = spawnSync('squeue', args, {
    encoding: 'utf8',
    timeout: timeoutMs,
    maxBuffer: 1 << 28,
    // Without it, squeue cuts the list of an array's tasks after 64 characters, in the middle of a number.
    env: { ...process.env, SLURM_BITSTR_LEN: '0' },
  });
  if (status !== 0) return undefined;
  return parseLines(stdout, new Set(jobs));
}

/**
 * How jobs ended, where the site keeps books (sacct).
 *
 * @param jobs - numbers of jobs
 */
export function readAccounting(jobs: readonly string[]): QueuedTask[] {
  if (jobs.length === 0) return [];
  const args = ['--noheader', '--parsable2', '--allocations', '--format=JobID,State,Reason,NodeList'];
  const { status, stdout } = spawnSync('sacct', [...args, `--jobs=${jobs.join(',')}`], {
    encoding: 'utf8',
    timeout: timeoutMs,
    maxBuffer: 1 << 28,
  });
  if (status !== 0) return [];
  // The books lag behind the queue, which alone tells what goes on.
  return parseLines(stdout, new Set(jobs)).filter(({ state }) => activityOf(state) === 'ended');
}

function parseLines(text: string, jobs: ReadonlySet<string>): QueuedTask[] {
  return text
    .split('\n')
    .filter((line) => line.includes('|'))
    .map(parseQueueLine)
    .filter(({ job }) => jobs.has(job));
}

/** `123_4|RUNNING|None|n1`, `123_[5-7,9%2]|PENDING|Dependency|`, `123|CANCELLED by 1000|None|n1`, ... */
export function parseQueueLine(line: string): QueuedTask {
  const [id, state = '', reason = '', node = ''] = line.trim().split('|');
  const [job, tasks] = id.split('_');
  // sacct says who cancelled a job, and marks a state that it has cut.
  const word = /^\w*/.exec(state)?.[0] ?? '';
  return { job, tasks: tasks === undefined ? [] : parseTasks(tasks), state: word, reason, node };
}

/** More than any Slurm takes in one array: a number that was misread is not to fill the memory. */
const maxArraySize = 4_000_001;

function parseTasks(text: string): number[] {
  return text
    .replace(/[[\]]/g, '')
    .replace(/%\d+$/, '')
    .split(',')
    .flatMap((range) => {
      const match = /^(\d+)(?:-(\d+)(?::(\d+))?)?$/.exec(range);
      if (match === null) return [];
      const [first, last, step] = [match[1], match[2] ?? match[1], match[3] ?? '1'].map(Number);
      const count = Math.floor((last - first) / step) + 1;
      return count > 0 && count < maxArraySize
        ? Array.from({ length: count }, (_, i) => first + i * step)
        : [];
    });
}

/** Which of these are in the queue: they run, wait, or are not over yet. */
export function inQueue(known: readonly QueuedTask[]): QueuedTask[] {
  return known.filter(({ state }) => activityOf(state) !== 'ended');
}

/**
 * What Slurm knows of each task of a stage. A task that was submitted several times is what it is in the queue, and
 * else what became of it last.
 *
 * @param known - of the stage's jobs
 */
export function latestByTask(known: readonly QueuedTask[]): Map<number, QueuedTask> {
  const latest = new Map<number, QueuedTask>();
  for (const entry of known) {
    for (const task of entry.tasks.length === 0 ? [0] : entry.tasks) {
      const other = latest.get(task);
      if (other === undefined || isLater(entry, other)) latest.set(task, entry);
    }
  }
  return latest;
}

function isLater(one: QueuedTask, other: QueuedTask): boolean {
  const isOver = ({ state }: QueuedTask) => activityOf(state) === 'ended';
  if (isOver(one) !== isOver(other)) return isOver(other);
  return Number(one.job) > Number(other.job);
}
