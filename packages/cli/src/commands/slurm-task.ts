import { CancelledError } from '@knn-lm/common';
import { findStage, openRun, runTask, SlurmError, type Stage, type StopReason } from '@knn-lm/slurm';
import { int, str } from '../options/option.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { writeAll } from '../terminal/log.js';
import { openTerminal } from '../terminal/terminal.js';
import { UsageError } from '../terminal/usage-error.js';
import type { Values } from './lm-task.js';

const commandLine: CommandLine = {
  program: 'knn-lm slurm-task',
  description:
    'Runs one task of a stage: skips it when it is finished, keeps a record of it, and queues it again when its time runs out (USR2).',
  options: [
    str('--run', null, 'folder of the run', { required: true }),
    str('--stage', null, 'name of the stage', { required: true }),
    int('--shard', null, 'number of the task (default: KNN_LM_SHARD, SLURM_ARRAY_TASK_ID, or 0)'),
  ],
  rest: 'the command of the task',
};

/** `knn-lm slurm-task`. */
export const slurmTaskCommand: Command = {
  commandLine,
  async run({ values }, context) {
    const { log } = openTerminal(context);
    const { folder, plan, site } = openRun(values['run'] as string);
    const stage = findStage(plan, values['stage'] as string);
    const shard = shardOf(values, stage);
    const command = values['rest'] as readonly string[];
    if (command.length === 0) throw new UsageError('the command is missing; it follows --', '');
    const timeIsOver = new AbortController();
    const onTime = () => timeIsOver.abort();
    process.on('SIGUSR2', onTime);
    try {
      const outcome = await runTask(folder, plan, stage, shard, {
        command,
        retries: site.retries,
        onStop: (stop: (reason: StopReason) => void) => {
          whenFired(timeIsOver.signal, () => stop('time'));
          whenFired(context.signal, () => stop('stop'));
        },
        onErrorOutput: (chunk) => void writeAll(2, chunk),
        logger: log.named('knn_lm.slurm'),
      });
      if (outcome === 'stopped') {
        throw new CancelledError(`${stage.name} ${shard} stopped before it was finished`, {
          hint: 'The same task goes on from there.',
        });
      }
      return { ok: outcome !== 'failed', stage: stage.name, shard, outcome };
    } finally {
      process.off('SIGUSR2', onTime);
    }
  },
};

function whenFired(signal: AbortSignal, action: () => void): void {
  if (signal.aborted) action();
  else signal.addEventListener('abort', action);
}

function shardOf(values: Values, stage: Stage): number {
  const { KNN_LM_SHARD, KNN_LM_SHARDS, SLURM_ARRAY_TASK_ID } = process.env;
  const shard = (values['shard'] as number | null) ?? Number(KNN_LM_SHARD ?? SLURM_ARRAY_TASK_ID ?? 0);
  const isWithin = Number.isInteger(shard) && shard >= 0 && shard < stage.tasks;
  if (isWithin && (KNN_LM_SHARDS === undefined || Number(KNN_LM_SHARDS) === stage.tasks)) return shard;
  const found = KNN_LM_SHARDS === undefined ? `task ${shard}` : `task ${shard} of ${KNN_LM_SHARDS}`;
  throw new SlurmError(
    'SLURM_TASK',
    `${found} was asked for, but ${stage.name} has ${stage.tasks} tasks, from 0`,
    {
      hint: 'KNN_LM_SHARD is the number of the task, KNN_LM_SHARDS how many there are.',
      details: { found: shard, expected: stage.tasks },
    },
  );
}
