import { openRun, readStatus, type RunStatus, type StageStatus, type TaskFailure } from '@knn-lm/slurm';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { duration } from '../terminal/progress.js';
import { formatTable } from '../terminal/table.js';

const commandLine: CommandLine = {
  program: 'knn-lm slurm-status',
  description: 'Shows how far a run of knn-lm slurm is, from its records and, where there is one, the queue.',
  positionals: { folder: 'folder of the run' },
  options: [],
};

/** Failures that are shown; an array of a thousand tasks fails for one reason. */
const shownFailures = 10;

/** `knn-lm slurm-status`. */
export const slurmStatusCommand: Command = {
  commandLine,
  run({ values }, { print }) {
    const run = openRun(values['folder'] as string);
    const status = readStatus(run);
    print(describeStatus(status));
    const { stages, failures, hasQueue, finished } = status;
    return Promise.resolve({
      folder: run.folder.path,
      finished,
      queue: hasQueue,
      stages: stages.map(stageResult),
      failures: failures.map(failureResult),
    });
  },
};

function describeStatus(status: RunStatus): string {
  const heads = ['stage', 'tasks', 'done', 'running', 'failed', 'waiting', 'left', ''];
  const columns = heads.map((head, i) => ({
    head,
    align: i > 0 && i < 7 ? ('right' as const) : ('left' as const),
  }));
  const rows = status.stages.map((stage) => [
    stage.stage,
    stage.tasks,
    stage.done,
    stage.running,
    stage.failed,
    stage.waiting,
    timeLeft(stage),
    stage.reason ?? '',
  ]);
  const { failures } = status;
  const lines = failures.slice(0, shownFailures).map(describeFailure);
  if (failures.length > shownFailures) lines.push(`and ${failures.length - shownFailures} failures more\n`);
  const advice = failures.length > 0 ? 'knn-lm slurm submits again what is not finished\n' : '';
  const queue =
    status.hasQueue || status.finished ? '' : 'Slurm cannot be asked; this is from the records alone\n';
  return `${formatTable(columns, rows)}\n${queue}${lines.join('')}${advice}`;
}

function timeLeft({ tasks, done, seconds, secondsLeft }: StageStatus): string {
  if (done === tasks) return `took ${duration(seconds)}`;
  return secondsLeft === undefined ? '' : duration(secondsLeft);
}

function describeFailure({ stage, shard, job, reason, log }: TaskFailure): string {
  const name = job === undefined ? '' : `, job ${job}`;
  return `${stage} ${shard}${name}: ${reason}\n${log === undefined ? '' : `  ${log}\n`}`;
}

/** A stage for programs. */
export function stageResult(stage: StageStatus): object {
  const { tasks, done, running, failed, waiting, reason = null, seconds, secondsLeft = null } = stage;
  return {
    stage: stage.stage,
    tasks,
    done,
    running,
    failed,
    waiting,
    reason,
    seconds,
    seconds_left: secondsLeft,
  };
}

function failureResult({ stage, shard, job, reason, log }: TaskFailure): object {
  return { stage, shard, job: job ?? null, reason, log: log ?? null };
}
