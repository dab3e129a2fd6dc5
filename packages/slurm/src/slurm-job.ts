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
