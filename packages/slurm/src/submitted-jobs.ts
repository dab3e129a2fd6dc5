import { existsSync, readFileSync, statSync } from 'node:fs';
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

/** Number of the user who submitted them; `undefined` where nothing was. */
export function jobsOwner(run: RunFolder): number | undefined {
  return statSync(run.jobs, { throwIfNoEntry: false })?.uid;
}

/** Lines of `jobs.tsv`, as `wc -l` counts them. */
export function submittedLines(run: RunFolder): number {
  return existsSync(run.jobs) ? readFileSync(run.jobs, 'utf8').split('\n').length - 1 : 0;
}
