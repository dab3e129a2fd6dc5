import { existsSync, readFileSync } from 'node:fs';
import type { RunFolder } from './run-folder.js';

/** One job that `submit.sh` has submitted. */
export interface SubmittedJob {
  /** The stage it runs. */
  readonly stage: string;
  /** Slurm's number. */
  readonly job: string;
}

/** The jobs that were submitted for a run, oldest first. */
export function readSubmittedJobs(run: RunFolder): SubmittedJob[] {
  if (!existsSync(run.jobs)) return [];
  return readFileSync(run.jobs, 'utf8')
    .split('\n')
    .map((line) => line.split('\t'))
    .filter(([stage, job]) => stage !== '' && /^\d+$/.test(job ?? ''))
    .map(([stage, job]) => ({ stage, job }));
}
