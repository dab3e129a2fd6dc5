import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { SlurmError } from './errors.js';
import { remainingTasks } from './remaining.js';
import { readQueue, type QueuedTask } from './slurm-queue.js';
import { activityOf } from './slurm-state.js';
import { planSubmission, type Submission } from './submission.js';
import { submitScript } from './submit-script.js';
import { jobsOwner, readSubmittedJobs, submittedLines, type SubmittedJob } from './submitted-jobs.js';
import { writeScript, type Run } from './write-run.js';

/** Tasks that were just cancelled, or whose node was lost, are on their way out of the queue or back into it. */
const endingLimitMs = 60_000;
const endingPollMs = 1_000;

/**
 * Works out what is left of a run, and writes `submit.sh` for it. Waits for tasks that are about to end: Slurm may queue
 * them again by itself, and they would run twice.
 *
 * @param run - the run
 * @throws {@link SlurmError} `SLURM_SUBMIT` when jobs were submitted before and Slurm does not say what became of them
 */
export async function prepareSubmission(run: Run): Promise<Submission> {
  const deadline = Date.now() + endingLimitMs;
  for (;;) {
    const jobs = readSubmittedJobs(run.folder);
    const queue = readSubmittedQueue(run, jobs);
    if (queue.some(({ state }) => activityOf(state) === 'ending') && Date.now() < deadline) {
      await sleep(endingPollMs);
      continue;
    }
    const submission = planSubmission(run.plan, remainingTasks(run.folder, run.plan), jobs, queue);
    const script = submitScript(run.plan, submission, { ...run, linesBefore: submittedLines(run.folder) });
    await writeScript(run.folder.submitScript, script);
    return submission;
  }
}

function readSubmittedQueue(run: Run, jobs: readonly SubmittedJob[]): QueuedTask[] {
  const queue = readQueue(
    jobs.map(({ job }) => job),
    jobsOwner(run.folder),
  );
  if (queue !== undefined) return queue;
  throw new SlurmError(
    'SLURM_SUBMIT',
    `squeue does not answer, and ${jobs.length} jobs of this run were submitted before: they may be running`,
    {
      hint: 'Try again where Slurm answers, lest work be done twice. When they are gone for good, remove jobs.tsv from the folder.',
      details: { folder: run.folder.path, jobs: jobs.length },
    },
  );
}

/**
 * Whether jobs of a run are in Slurm's queue.
 *
 * @param run - the run
 * @throws {@link SlurmError} `SLURM_SUBMIT` when jobs were submitted before and Slurm does not say what became of them
 */
export function isInQueue(run: Run): boolean {
  const jobs = readSubmittedJobs(run.folder);
  return readSubmittedQueue(run, jobs).some(({ state }) => activityOf(state) !== 'ended');
}

/**
 * Runs `submit.sh`.
 *
 * @param run - the run
 * @returns the jobs that it submitted
 * @throws {@link SlurmError} `SLURM_SUBMIT` with Slurm's words
 */
export async function submitRun(run: Run): Promise<SubmittedJob[]> {
  const before = readSubmittedJobs(run.folder).length;
  const { code, errors } = await new Promise<{ code: number; errors: string }>((resolve) => {
    const child = spawn('bash', [run.folder.submitScript], { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text: string) => (errors += text));
    child.on('error', (error) => resolve({ code: 127, errors: error.message }));
    child.on('close', (status) => resolve({ code: status ?? 1, errors }));
  });
  const submitted = readSubmittedJobs(run.folder).slice(before);
  if (code === 0) return submitted;
  const complaint = errors
    .split('\n')
    .filter((line) => line !== '' && !/^\w+: job \d+$/.test(line))
    .join(' ');
  throw new SlurmError(
    'SLURM_SUBMIT',
    `Slurm took ${submitted.length} stages and refused the next: ${complaint}`,
    {
      hint: 'Mend the site settings and give the same command again: it submits what is left. --runner local needs no Slurm.',
      details: { submitted: submitted.length },
    },
  );
}
