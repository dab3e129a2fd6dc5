import { spawn } from 'node:child_process';
import { SlurmError } from './errors.js';
import { remainingTasks } from './remaining.js';
import { readQueue } from './slurm-queue.js';
import { planSubmission, type Submission } from './submission.js';
import { submitScript } from './submit-script.js';
import { readSubmittedJobs, type SubmittedJob } from './submitted-jobs.js';
import { writeScript, type Run } from './write-run.js';

/**
 * Works out what is left of a run, and writes `submit.sh` for it.
 *
 * @param run - the run
 */
export async function prepareSubmission(run: Run): Promise<Submission> {
  const jobs = readSubmittedJobs(run.folder);
  const queue = readQueue(jobs.map(({ job }) => job)) ?? [];
  const submission = planSubmission(run.plan, remainingTasks(run.folder, run.plan), jobs, queue);
  await writeScript(run.folder.submitScript, submitScript(run.plan, submission, run.site, run.folder));
  return submission;
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
