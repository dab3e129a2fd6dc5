import { spawnSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

/** The Slurm task that a process runs in. */
export interface SlurmJob {
  /** What squeue shows and scontrol takes: `123`, or `123_4` in an array. */
  readonly id: string;
  /** How often Slurm has started it again. */
  readonly restarts: number;
}

/**
 * The Slurm task of this process, from Slurm's environment variables.
 *
 * In an array the job's own number must not be used: that of its last task is the array's, and `scontrol requeue` of it
 * starts the whole array again.
 *
 * @param env - environment
 * @returns `undefined` outside Slurm
 */
export function slurmJob(env: NodeJS.ProcessEnv): SlurmJob | undefined {
  const job = env['SLURM_JOB_ID'];
  if (job === undefined || job === '') return undefined;
  const array = env['SLURM_ARRAY_JOB_ID'];
  const task = env['SLURM_ARRAY_TASK_ID'];
  const id = array !== undefined && task !== undefined ? `${array}_${task}` : job;
  return { id, restarts: Number(env['SLURM_RESTART_COUNT'] ?? 0) };
}

/** A controller that is being restarted answers again soon; the task has committed its work, and can wait. */
const requeueTries = 4;
const requeuePauseMs = 5_000;

/**
 * Has Slurm queue a task again.
 *
 * @param id - as in {@link SlurmJob}
 * @param env - environment that finds Slurm
 * @returns what is wrong; `undefined` when Slurm will
 */
export async function requeue(id: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (let tries = 1; ; tries++) {
    const { status, stderr, error } = spawnSync('scontrol', ['requeue', id], { encoding: 'utf8', env });
    if (status === 0) return undefined;
    if (tries === requeueTries) return `scontrol requeue ${id} failed: ${error?.message ?? stderr.trim()}`;
    await sleep(requeuePauseMs);
  }
}
