/** What a job is doing: `waiting` may still start, `running` does its work, `ending` is undecided, `ended` is over. */
export type Activity = 'waiting' | 'running' | 'ending' | 'ended';

const activities: Readonly<Record<string, Activity>> = {
  PENDING: 'waiting',
  // Its nodes are being booted.
  CONFIGURING: 'waiting',
  // On its way back into the queue, or held there.
  REQUEUED: 'waiting',
  REQUEUE_FED: 'waiting',
  REQUEUE_HOLD: 'waiting',
  RESV_DEL_HOLD: 'waiting',
  SPECIAL_EXIT: 'waiting',
  // It has begun and keeps its memory, but does nothing.
  SUSPENDED: 'waiting',
  STOPPED: 'waiting',
  RUNNING: 'running',
  RESIZING: 'running',
  SIGNALING: 'running',
  // Nobody can tell yet whether it is over or will be queued again.
  COMPLETING: 'ending',
  STAGE_OUT: 'ending',
  BOOT_FAIL: 'ended',
  CANCELLED: 'ended',
  COMPLETED: 'ended',
  DEADLINE: 'ended',
  FAILED: 'ended',
  NODE_FAIL: 'ended',
  OUT_OF_MEMORY: 'ended',
  PREEMPTED: 'ended',
  REVOKED: 'ended',
  TIMEOUT: 'ended',
};

/**
 * What a job in one of Slurm's states is doing.
 *
 * @param state - as squeue and sacct write it
 * @returns `waiting` for a state that a later Slurm may have: such a job is not to be submitted a second time
 */
export function activityOf(state: string): Activity {
  return activities[state] ?? 'waiting';
}

/** Whether a job waits for another one that did not succeed: it stays in the queue where a site lets it, and never starts. */
export function neverStarts({ state, reason }: { readonly state: string; readonly reason: string }): boolean {
  return state === 'PENDING' && reason === 'DependencyNeverSatisfied';
}

/**
 * What Slurm itself did to a job that it ended: nothing where the job ended by itself, or a user ended it.
 *
 * @param state - as squeue and sacct write it
 */
export function endedBySlurm(state: string): boolean {
  return ['BOOT_FAIL', 'DEADLINE', 'NODE_FAIL', 'OUT_OF_MEMORY', 'PREEMPTED', 'TIMEOUT'].includes(state);
}
