import type { Plan, Stage } from './plan.js';
import { RunFolder } from './run-folder.js';
import { quoteWord } from './shell-words.js';
import { resourcesOf, type Resources, type Site } from './site.js';
import { shellWord, type CommandWord } from './word.js';

/** Where the scripts find the run and the commands. */
export interface ScriptPlace {
  /** The run's folder, absolute. */
  readonly run: string;
  /** Folders put before PATH: those of the commands and of Node.js. */
  readonly path: readonly string[];
}

/** Slurm's names of a task in its log: job and number in the array, or the job alone. */
export function logPattern(stage: Stage): string {
  return stage.tasks > 1 ? `${stage.name}-%A_%a.log` : `${stage.name}-%j.log`;
}

/**
 * The batch script of a stage.
 *
 * @param plan - the plan that the stage is of
 * @param stage - the stage
 * @param site - what the cluster wants
 * @param place - where everything is
 */
export function sbatchScript(plan: Plan, stage: Stage, site: Site, place: ScriptPlace): string {
  const run = new RunFolder(place.run);
  const number = plan.stages.indexOf(stage) + 1;
  const tasks = stage.tasks === 1 ? '' : `, ${stage.tasks} tasks`;
  const resources = resourcesOf(site, stage.name);
  return `${[
    '#!/bin/bash',
    ...directives(plan, stage, site, run).map((directive) => `#SBATCH ${directive}`),
    '',
    `# ${stage.name} (stage ${number} of ${plan.stages.length}${tasks}): ${stage.title}.`,
    ...(stage.needs.length > 0 ? [`# After ${stage.needs.join(', ')}.`] : []),
    '#',
    '# Written by knn-lm slurm, which writes it anew each time. Without Slurm:',
    `#   KNN_LM_SHARD=0 KNN_LM_SHARDS=${stage.tasks} bash ${stage.name}.sbatch`,
    '',
    // Modules and set-up before "set -u": those scripts are not ours, and many of them use what is not set.
    `export PATH=${place.path.map(quoteWord).join(':')}:$PATH`,
    ...(site.modules.length > 0 ? [`module load ${site.modules.map(quoteWord).join(' ')} || exit`] : []),
    ...site.setup,
    'set -euo pipefail',
    '',
    `run=${quoteWord(place.run)}`,
    `work=${quoteWord(plan.work)}`,
    'shard=${KNN_LM_SHARD:-${SLURM_ARRAY_TASK_ID:-0}}',
    '',
    `cd ${quoteWord(plan.folder)}`,
    '# Skips a finished task; on USR2 the command commits what it has, and the task is queued again.',
    `exec knn-lm slurm-task --run "$run" --stage ${stage.name} --shard "$shard" -- \\`,
    commandText([...stage.command, ...threadWords(stage, resources)]),
  ].join('\n')}\n`;
}

function directives(plan: Plan, stage: Stage, site: Site, run: RunFolder): string[] {
  const resources = resourcesOf(site, stage.name);
  const { partition, account, qos, constraint, time, memory, cpus, gpus, arrayLimit, sbatch } = resources;
  const limit = arrayLimit === undefined || arrayLimit >= stage.tasks ? '' : `%${arrayLimit}`;
  const option = (name: string, value: string | number | undefined) =>
    value === undefined ? [] : [`--${name}=${value}`];
  return [
    `--job-name=${plan.name}-${stage.name}`,
    ...option('partition', partition),
    ...option('account', account),
    ...option('qos', qos),
    ...option('constraint', constraint),
    ...option('time', time),
    '--nodes=1',
    '--ntasks=1',
    ...option('cpus-per-task', cpus),
    ...option('mem', memory),
    ...option('gres', gpus === undefined || gpus === 0 ? undefined : `gpu:${gpus}`),
    ...(stage.tasks > 1 ? [`--array=0-${stage.tasks - 1}${limit}`] : []),
    `--output=${run.logs}/${logPattern(stage)}`,
    '--open-mode=append',
    '--requeue',
    // USR1 would start Node's debugger.
    `--signal=B:USR2@${site.warningSeconds}`,
    ...(sbatch ?? []),
  ];
}

function threadWords(stage: Stage, resources: Resources): CommandWord[] {
  const { threadsFlag } = stage;
  return threadsFlag === undefined || resources.cpus === undefined
    ? []
    : [threadsFlag, String(resources.cpus)];
}

/** One flag with its values on a line. */
function commandText(words: readonly CommandWord[]): string {
  const lines: string[][] = [[]];
  for (const [i, word] of words.entries()) {
    const isFlag = typeof word === 'string' && /^--?[a-z]/i.test(word);
    if (isFlag && i > 0) lines.push([]);
    lines[lines.length - 1].push(shellWord(word));
  }
  return lines.map((line, i) => `${i === 0 ? '  ' : '    '}${line.join(' ')}`).join(' \\\n');
}
