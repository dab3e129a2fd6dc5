import { hostname } from 'node:os';
import type { QueuedTask } from './slurm-queue.js';
import type { TaskRecord } from './task-record.js';

/** What a task is doing, as far as its record and Slurm's queue tell. */
export type TaskView =
  | { readonly state: 'done' | 'waiting' | 'open' }
  | { readonly state: 'running'; readonly node: string }
  | { readonly state: 'failed'; readonly lost: boolean };

/** A running task writes its record every ten seconds; a slow file system is given some more. */
const silentMs = 90_000;

/**
 * Tells what a task is doing.
 *
 * @param record - what it wrote, if it did
 * @param queued - what Slurm's queue has of it; `undefined` when it is not in it
 * @param surroundings - whether the queue could be read and a log of the task exists, and the time
 */
export function viewTask(
  record: TaskRecord | undefined,
  queued: QueuedTask | undefined,
  surroundings: { readonly hasQueue: boolean; readonly hasLog: boolean; readonly nowMs: number },
): TaskView {
  if (record?.state === 'done') return { state: 'done' };
  if (queued !== undefined && queued.state !== 'COMPLETING') {
    return queued.state === 'PENDING' ? { state: 'waiting' } : { state: 'running', node: queued.node };
  }
  // It was started and killed before it could write anything.
  if (record === undefined) return surroundings.hasLog ? { state: 'failed', lost: true } : { state: 'open' };
  if (record.state === 'failed') return { state: 'failed', lost: false };
  if (record.state === 'requeued') return { state: 'open' };
  return stillRuns(record, surroundings)
    ? { state: 'running', node: record.host }
    : { state: 'failed', lost: true };
}

/** A record that says `running`, of a task that the queue does not have. */
function stillRuns(record: TaskRecord, { hasQueue, nowMs }: { hasQueue: boolean; nowMs: number }): boolean {
  if (record.job !== undefined && hasQueue) return false;
  if (record.job === undefined && record.host === hostname()) return processExists(record.pid);
  return nowMs - record.updatedMs < silentMs;
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
