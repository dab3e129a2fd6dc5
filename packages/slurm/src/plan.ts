import { createHash } from 'node:crypto';
import type { Recipe } from './recipe.js';
import { describeStage } from './stage-commands.js';
import { stageNames, type StageName } from './stage-names.js';
import { shardId, type CommandWord, type WorkPath } from './word.js';

/** One stage: the same command for every task, which differ in their number. */
export interface Stage {
  /** Name; that of the script. */
  readonly name: StageName;
  /** What it does, in one line. */
  readonly title: string;
  /** Stages that must be finished before. */
  readonly needs: readonly StageName[];
  /** Number of tasks. */
  readonly tasks: number;
  /** Program and arguments of each task. */
  readonly command: readonly CommandWord[];
  /** The flag that takes the number of threads, where the command has one and the recipe does not give it. */
  readonly threadsFlag?: string | undefined;
  /** What a finished task has left; nothing where that cannot be known before. */
  readonly outputs: readonly WorkPath[];
  /** Changes when the stage, or one before it, would give another result. */
  readonly fingerprint: string;
}

/** The stages of a run, in an order in which they can run. */
export interface Plan {
  /** Begins the names of the jobs. */
  readonly name: string;
  /** Folder in which every task runs. */
  readonly folder: string;
  /** Folder that the stages write to. */
  readonly work: string;
  /** The stages. */
  readonly stages: readonly Stage[];
}

/**
 * Plans a run: which stages a recipe needs, in which order, with how many tasks and which commands. Reads nothing from
 * the disk.
 *
 * @param recipe - the recipe
 * @param work - folder that the stages write to
 *
 * @example
 * ```ts
 * const recipe = checkRecipe({ data: 'data-bin', model: 'model.pt' }, { source: 'example', folder: '/data' });
 * console.log(planRun(recipe, '/scratch/run').stages.map(({ name }) => name));
 * ```
 */
export function planRun(recipe: Recipe, work: string): Plan {
  const stages: Stage[] = [];
  for (const name of stageNames) {
    const draft = describeStage(recipe, name);
    if (draft === undefined) continue;
    const needs = directly(draft.needs, stages);
    const before = stages.filter((stage) => needs.includes(stage.name)).map((stage) => stage.fingerprint);
    const fingerprint = fingerprintOf([name, draft.tasks, draft.command, recipe.folder, work, before]);
    stages.push({ ...draft, name, needs, fingerprint });
  }
  return { name: recipe.name, folder: recipe.folder, work, stages };
}

/** The stages that exist among those needed, without those that another one waits for anyway. */
function directly(needs: readonly StageName[], stages: readonly Stage[]): StageName[] {
  const there = stages.filter(({ name }) => needs.includes(name));
  const covered = new Set(there.flatMap((stage) => stagesBefore(stages, stage)));
  return there.filter((stage) => !covered.has(stage)).map(({ name }) => name);
}

/** The stages that one waits for, and those that they wait for. */
export function stagesBefore(stages: readonly Stage[], stage: Stage): Stage[] {
  const before = new Set<Stage>();
  for (const other of stages.filter(({ name }) => stage.needs.includes(name))) {
    before.add(other);
    for (const further of stagesBefore(stages, other)) before.add(further);
  }
  return stages.filter((other) => before.has(other));
}

function fingerprintOf(value: unknown): string {
  const text = JSON.stringify(value, (_, item: unknown) => (item === shardId ? { shard: true } : item));
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
