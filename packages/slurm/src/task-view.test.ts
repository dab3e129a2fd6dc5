import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { QueuedTask } from './slurm-queue.js';
import type { TaskRecord, TaskState } from './task-record.js';
import { viewTask, type Surroundings } from './task-view.js';

const nowMs = 1_000_000_000;

/** A record of task 2 of job 7, on a machine that is not this one. */
function record(state: TaskState | undefined, changes: Partial<TaskRecord> = {}): TaskRecord | undefined {
  if (state === undefined) return undefined;
  return {
    state,
    fingerprint: 'f',
    attempts: 1,
    host: 'elsewhere',
    pid: 1,
    job: '7_2',
    startedMs: nowMs - 60_000,
    updatedMs: nowMs - 5_000,
    seconds: 60,
    ...changes,
  };
}

const queued = (state: string, reason = 'None', job = '7'): QueuedTask => ({
  job,
  tasks: [2],
  state,
  reason,
  node: 'n1',
});

const slurm: Surroundings = { asked: new Set(['7', '9']), hasLog: false, nowMs };

describe('a task that Slurm has', () => {
  // Columns: what the task last wrote of itself.
  const written = [undefined, 'running', 'requeued', 'failed', 'done'] as const;
  it.each([
    ['PENDING', ['waiting', 'waiting', 'waiting', 'waiting', 'done']],
    ['CONFIGURING', ['waiting', 'waiting', 'waiting', 'waiting', 'done']],
    ['REQUEUED', ['waiting', 'waiting', 'waiting', 'waiting', 'done']],
    ['REQUEUE_HOLD', ['waiting', 'waiting', 'waiting', 'waiting', 'done']],
    ['SPECIAL_EXIT', ['waiting', 'waiting', 'waiting', 'waiting', 'done']],
    ['SUSPENDED', ['waiting', 'waiting', 'waiting', 'waiting', 'done']],
    ['RUNNING', ['running', 'running', 'running', 'running', 'done']],
    // After a node was lost it says `running`, and may be queued again: that is no failure yet.
    ['COMPLETING', ['running', 'running', 'waiting', 'failed', 'done']],
    ['COMPLETED', ['open', 'failed', 'open', 'failed', 'done']],
    ['FAILED', ['failed', 'failed', 'failed', 'failed', 'done']],
    ['CANCELLED', ['open', 'open', 'open', 'failed', 'done']],
    ['NODE_FAIL', ['failed', 'failed', 'failed', 'failed', 'done']],
    ['TIMEOUT', ['failed', 'failed', 'failed', 'failed', 'done']],
    ['PREEMPTED', ['failed', 'failed', 'failed', 'failed', 'done']],
    ['OUT_OF_MEMORY', ['failed', 'failed', 'failed', 'failed', 'done']],
    ['BOOT_FAIL', ['failed', 'failed', 'failed', 'failed', 'done']],
    ['DEADLINE', ['failed', 'failed', 'failed', 'failed', 'done']],
  ])('%s', (state, expected) => {
    const views = written.map((each) => viewTask(record(each), queued(state), slurm));
    expect(views).toEqual(expected);
  });

  it('that waits for what has failed is to be submitted again', () => {
    expect(viewTask(undefined, queued('PENDING', 'DependencyNeverSatisfied'), slurm)).toBe('open');
  });

  it('goes by the record of the same job only', () => {
    const later = queued('COMPLETING', 'None', '9');
    expect(viewTask(record('failed'), later, slurm)).toBe('running');
  });
});

describe('a task that Slurm does not have', () => {
  const view = (written: TaskRecord | undefined, changes: Partial<Surroundings> = {}) =>
    viewTask(written, undefined, { ...slurm, ...changes });

  it('and that says it runs was lost, once Slurm has been asked about its job', () => {
    expect(view(record('running'))).toBe('failed');
    expect(view(record('requeued'))).toBe('open');
    expect(view(record('failed'))).toBe('failed');
    expect(view(undefined)).toBe('open');
    expect(view(undefined, { hasLog: true })).toBe('failed');
  });

  it('runs as long as it writes, where Slurm cannot be asked or was not', () => {
    const silent = { updatedMs: nowMs - 100_000 };
    expect(view(record('running'), { asked: undefined })).toBe('running');
    expect(view(record('running', silent), { asked: undefined })).toBe('failed');
    // Submitted by hand, or since Slurm was asked.
    expect(view(record('running', { job: '8_2' }))).toBe('running');
    expect(view(record('running', { job: '8_2', ...silent }))).toBe('failed');
  });

  it('and that runs on this machine is looked up here', () => {
    const here = { job: undefined, host: hostname(), updatedMs: 0 };
    expect(view(record('running', { ...here, pid: process.pid }))).toBe('running');
    expect(view(record('running', { ...here, pid: 2 ** 30 }))).toBe('failed');
  });
});
