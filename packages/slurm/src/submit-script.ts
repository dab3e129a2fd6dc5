import type { Plan } from './plan.js';
import { arrayRanges } from './remaining.js';
import type { RunFolder } from './run-folder.js';
import { quoteWord } from './shell-words.js';
import { resourcesOf, type Site } from './site.js';
import type { StageSubmission, Submission } from './submission.js';

/** What a submission goes by. */
export interface SubmitSurroundings {
  /** The run's folder. */
  readonly folder: RunFolder;
  /** The cluster's settings. */
  readonly site: Site;
  /** Lines that jobs.tsv had when it was planned. */
  readonly linesBefore: number;
}

/**
 * The script that submits what is left of a run, each stage after those that it needs. Run a second time, it refuses.
 *
 * @param plan - the run's plan
 * @param submission - what is left
 * @param surroundings - the cluster, and what was there before
 */
export function submitScript(plan: Plan, submission: Submission, surroundings: SubmitSurroundings): string {
  const { stages, cancel } = submission;
  const { folder, site, linesBefore } = surroundings;
  return `${[
    '#!/bin/bash',
    `# Submits what is left of ${plan.name}: ${stages.length} of ${plan.stages.length} stages.`,
    '# Written by knn-lm slurm, which writes it anew and runs it when it is called again.',
    'set -euo pipefail',
    `cd ${quoteWord(folder.path)}`,
    '# A shell in which one task was tried by hand: every task of an array would take itself for that one.',
    'unset KNN_LM_SHARD KNN_LM_SHARDS KNN_LM_LOG',
    '',
    'touch jobs.tsv',
    `if [ "$(wc -l < jobs.tsv)" -ne ${linesBefore} ]; then`,
    "  echo 'jobs were submitted since this was written; call knn-lm slurm again for what is left' >&2",
    '  exit 1',
    'fi',
    '',
    '# Prints the number of the job, and keeps it in jobs.tsv for knn-lm slurm-status.',
    'submit() {',
    '  local stage=$1 job',
    '  shift',
    '  job=$(sbatch --parsable "$@" "$stage.sbatch") || return',
    '  job=${job%%;*}',
    `  printf '%s\\t%s\\n' "$stage" "$job" >> jobs.tsv`,
    `  printf '%s: job %s\\n' "$stage" "$job" >&2`,
    `  printf '%s\\n' "$job"`,
    '}',
    '',
    ...(cancel.length > 0
      ? [`scancel ${cancel.map(quoteWord).join(' ')} || true # they wait for jobs that are submitted again`]
      : []),
    ...stages.map((entry) => submitLine(entry, site)),
  ].join('\n')}\n`;
}

function submitLine({ stage, tasks, waitForJobs, waitForStages }: StageSubmission, site: Site): string {
  const { arrayLimit } = resourcesOf(site, stage.name);
  const limit = arrayLimit === undefined || arrayLimit >= tasks.length ? '' : `%${arrayLimit}`;
  const jobs = [...waitForJobs, ...waitForStages.map(({ name }) => `$${name}`)];
  const options = [
    ...(tasks.length < stage.tasks ? [`--array=${arrayRanges(tasks)}${limit}`] : []),
    ...(jobs.length > 0 ? [`--dependency=afterok:${jobs.join(':')}`, '--kill-on-invalid-dep=yes'] : []),
  ];
  return `${stage.name}=$(submit ${[stage.name, ...options].join(' ')})`;
}
