import { hostname } from 'node:os';
import type { QueuedTask } from './slurm-queue.js';
import { activityOf, neverStarts } from './slurm-state.js';
import type { TaskRecord } from './task-record.js';

/** What a task is doing. An `open` one is to be submitted, and nothing is wrong with it. */
export type TaskView = 'done' | 'running' | 'waiting' | 'open' | 'failed';

/** What else {@link viewTask} goes by. */
export interface Surroundings {
  /** Jobs that Slurm was asked about; `undefined` where it could not be asked. */
  readonly asked: ReadonlySet<string> | undefined;
  /** Whether the task has left a log. */
  readonly hasLog: boolean;
  /** The time, milliseconds since 1970. */
  readonly nowMs: number;
}

/** A running task writes its record every ten seconds; a slow file system is given some more. */
const silentMs = 90_000;

/**
 * Tells what a task is doing. Slurm's word counts as long as it has the task: what a task last wrote says nothing of a
 * task whose node is lost, and which is about to be queued again.
 *
 * @param record - what it wrote, if it did
 * @param known - what Slurm knows of it; `undefined` when that is nothing
 * @param surroundings - what else there is to go by
 */
export function viewTask(
  record: TaskRecord | undefined,
  known: QueuedTask | undefined,
  surroundings: Surroundings,
): TaskView {
  if (record?.state === 'done') return 'done';
  const activity = known === undefined ? 'ended' : activityOf(known.state);
  if (known !== undefined && activity === 'waiting') return neverStarts(known) ? 'open' : 'waiting';
  if (activity === 'running') return 'running';
  if (known !== undefined && activity === 'ending') return viewEnding(record, known);
  return viewEnded(record, known, surroundings);
}

/** Slurm clears up behind it. Only its own word that it failed, or was told to stop, tells more. */
function viewEnding(record: TaskRecord | undefined, known: QueuedTask): TaskView {
  if (record === undefined || !isOf(record, known)) return 'running';
  if (record.state === 'failed') return 'failed';
  return record.state === 'requeued' ? 'waiting' : 'running';
}

/** Slurm does not have it, any more or at all. */
function viewEnded(
  record: TaskRecord | undefined,
  known: QueuedTask | undefined,
  surroundings: Surroundings,
): TaskView {
  if (record !== undefined && mayStillRun(record, known, surroundings)) return 'running';
  if (record?.state === 'failed') return 'failed';
  // Somebody cancelled it, while it waited or at its work.
  if (known?.state === 'CANCELLED') return 'open';
  // It stopped cleanly, to go on later. Where Slurm ended its job otherwise, nobody will start it again.
  if (record?.state === 'requeued') {
    return known === undefined || known.state === 'COMPLETED' ? 'open' : 'failed';
  }
  if (record !== undefined) return 'failed';
  // It was started, and killed before it could write anything.
  return surroundings.hasLog || (known !== undefined && known.state !== 'COMPLETED') ? 'failed' : 'open';
}

/** A record that says `running`, of a task that is not known to have ended. */
function mayStillRun(record: TaskRecord, known: QueuedTask | undefined, around: Surroundings): boolean {
  if (record.state !== 'running') return false;
  if (record.job === undefined && record.host === hostname()) return processExists(record.pid);
  const isOver = record.job !== undefined && around.asked?.has(record.job.split('_')[0]) === true;
  const hasEnded = known !== undefined && isOf(record, known);
  return !isOver && !hasEnded && around.nowMs - record.updatedMs < silentMs;
}

function isOf(record: TaskRecord, known: QueuedTask): boolean {
  return record.job?.split('_')[0] === known.job;
}

function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
