import { dirname, resolve } from 'node:path';
import {
  checkRecipe,
  checkSite,
  isInQueue,
  prepareSubmission,
  readJsonFile,
  readSite,
  readStatus,
  runLocally,
  SlurmError,
  submitRun,
  withSettings,
  writeRun,
  type Recipe,
  type Run,
  type Submission,
} from '@knn-lm/slurm';
import type { Logger } from '@knn-lm/common';
import { flag, int, str } from '../options/option.js';
import type { CommandLine } from '../options/parse.js';
import type { Command, CommandContext } from '../terminal/command.js';
import { formatTable } from '../terminal/table.js';
import type { ProgressReporter } from '../terminal/progress.js';
import { openTerminal } from '../terminal/terminal.js';
import type { Values } from './lm-task.js';
import { checkStageCommands } from './slurm-check.js';
import { commandFolders } from './slurm-paths.js';
import { stageResult } from './slurm-status.js';

const commandLine: CommandLine = {
  program: 'knn-lm slurm',
  description:
    'Runs a recipe as Slurm jobs: writes a folder of batch scripts and submits them with their dependencies. The same command goes on with what is left.',
  positionals: { recipe: { help: 'recipe (JSON); the options below do without one', optional: true } },
  options: [
    str('--folder', null, 'folder of the run (default: NAME-run)'),
    str('--site', null, 'settings of the cluster (JSON): partition, account, time, memory, modules, ...'),
    str('--data', null, "binarized text, in place of the recipe's"),
    str('--path', null, "model, in place of the recipe's"),
    int('--tasks', null, "tasks of generate, add and evaluate, in place of the recipe's"),
    str(
      '--set',
      null,
      'further settings in place of the recipe\'s: KEY=VALUE, stages.train.flags="--ncentroids 8"',
      {
        nargs: '+',
      },
    ),
    flag('--dry-run', 'write the scripts, submit nothing'),
    str('--runner', 'slurm', 'what runs the tasks', { choices: ['slurm', 'local'] }),
    int('--jobs', 1, 'tasks that --runner local runs at a time'),
  ],
};

/** `knn-lm slurm`. */
export const slurmCommand: Command = {
  commandLine,
  async run({ values }, context) {
    const { log, progress } = openTerminal(context);
    const logger = log.named('knn_lm.slurm');
    try {
      const recipe = recipeOf(values);
      const site = values['site'] === null ? checkSite({}, 'no site') : readSite(values['site'] as string);
      await checkStageCommands(recipe);
      const folder = (values['folder'] as string | null) ?? `${recipe.name}-run`;
      const run = await writeRun(folder, recipe, site, commandFolders());
      logger.info(`${run.plan.stages.length} stages in ${run.folder.path}`);
      const submission = await carryOut(run, values, { context, progress, logger });
      return report(run, submission, values, context);
    } finally {
      progress.close();
    }
  },
};

/** Submits or runs what is left, and gives what that was. */
async function carryOut(
  run: Run,
  values: Values,
  { context, progress, logger }: { context: CommandContext; progress: ProgressReporter; logger: Logger },
): Promise<Submission> {
  const isLocal = values['runner'] === 'local' && values['dry_run'] !== true;
  // Whoever runs it here may have no Slurm; whoever has submitted it there must not run it twice.
  if (isLocal) refuseQueued(run);
  const submission = await prepareSubmission(run);
  if (values['dry_run'] === true) {
    logger.info(`nothing is submitted; bash ${run.folder.submitScript} does it`);
  } else if (isLocal) {
    const jobs = values['jobs'] as number;
    await runLocally(run, { jobs, signal: context.signal, onProgress: progress.report, logger });
  } else await submit(run, submission, logger);
  return submission;
}

function refuseQueued(run: Run): void {
  if (!isInQueue(run)) return;
  throw new SlurmError('SLURM_SUBMIT', `jobs of ${run.folder.path} are in Slurm's queue`, {
    hint: 'scancel them first (their numbers are in jobs.tsv), or give another --folder.',
    details: { folder: run.folder.path },
  });
}

/** The recipe's file, with what the command line replaces in it. */
function recipeOf(values: Values): Recipe {
  const file = values['recipe'] as string | null;
  const source = file === null ? {} : readJsonFile(file, 'SLURM_RECIPE');
  const settings = [...((values['set'] as readonly string[] | null) ?? [])];
  // The command line's paths start from where one is, the file's from the file.
  const path = (name: string, key: string) => {
    if (values[name] !== null) settings.push(`${key}=${resolve(values[name] as string)}`);
  };
  path('data', 'data');
  path('path', 'model');
  for (const stage of values['tasks'] === null ? [] : ['generate', 'add', 'evaluate']) {
    settings.push(`stages.${stage}.tasks=${String(values['tasks'])}`);
  }
  const place = { source: file ?? 'the command line', folder: file === null ? '.' : dirname(file) };
  return checkRecipe(withSettings(source, settings), place);
}

async function submit(run: Run, submission: Submission, logger: Logger): Promise<void> {
  if (submission.stages.length === 0) {
    logger.info('nothing to submit: everything is finished or in the queue');
    return;
  }
  for (const { stage, job } of await submitRun(run)) logger.info(`${stage}: job ${job}`);
}

function report(run: Run, submission: Submission, values: Values, { print }: CommandContext): object {
  const status = readStatus(run);
  const isLocal = values['runner'] === 'local' && values['dry_run'] !== true;
  const left = new Map(submission.stages.map(({ stage, tasks }) => [stage.name, tasks.length]));
  const rows = run.plan.stages.map((stage) => [
    stage.name,
    stage.tasks,
    isLocal ? 0 : (left.get(stage.name) ?? 0),
    stage.needs.join(', '),
    stage.title,
  ]);
  const heads = ['stage', 'tasks', 'left', 'after', 'what it makes'];
  print(
    `${formatTable(
      heads.map((head, i) => ({ head, align: i === 1 || i === 2 ? 'right' : 'left' })),
      rows,
    )}\n`,
  );
  if (!status.finished) print(`knn-lm slurm-status ${run.folder.path} shows how far it is\n`);
  return {
    folder: run.folder.path,
    submitted: values['dry_run'] !== true && values['runner'] === 'slurm' && submission.stages.length > 0,
    finished: status.finished,
    stages: status.stages.map(stageResult),
  };
}
