import { chmod, readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ensureFolder, writeFileAtomic } from '@knn-lm/common';
import { SlurmError } from './errors.js';
import { planRun, type Plan, type Stage } from './plan.js';
import type { Recipe } from './recipe.js';
import { RunFolder } from './run-folder.js';
import { sbatchScript } from './sbatch-script.js';
import type { Site } from './site.js';
import { planVersion, readStoredRun, type StoredRun } from './stored-run.js';
import { readTaskRecord } from './task-record.js';

/** A run on disk. */
export interface Run {
  /** Its folder. */
  readonly folder: RunFolder;
  /** Its stages. */
  readonly plan: Plan;
  /** The cluster's settings. */
  readonly site: Site;
}

/**
 * Writes a run's folder: the plan and one script a stage. Called again with the same recipe it changes nothing that
 * counts; the site's settings may change at any time.
 *
 * @param folder - the run's folder; made where it is not there
 * @param recipe - the recipe
 * @param site - the cluster's settings
 * @param path - folders put before PATH in the scripts
 * @throws {@link SlurmError} `SLURM_PLAN_CHANGED` when a stage has finished tasks and would now give something else
 */
export async function writeRun(
  folder: string,
  recipe: Recipe,
  site: Site,
  path: readonly string[],
): Promise<Run> {
  const run = new RunFolder(resolve(folder));
  const work = recipe.work ?? join(run.path, 'work');
  const plan = planRun(recipe, work);
  for (const stage of plan.stages) await refuseChange(run, stage);
  await ensureFolder(run.logs);
  const stored: StoredRun & { version: number } = { version: planVersion, recipe, site, work, path };
  await writeFileAtomic(run.plan, `${JSON.stringify(stored, undefined, 2)}\n`);
  for (const stage of plan.stages) {
    await writeScript(run.script(stage.name), sbatchScript(plan, stage, site, { run: run.path, path }));
  }
  return { folder: run, plan, site };
}

/**
 * Opens a run that is on disk.
 *
 * @param folder - its folder
 * @throws {@link SlurmError} `SLURM_NO_RUN`
 */
export function openRun(folder: string): Run {
  const { recipe, site, work } = readStoredRun(folder);
  return { folder: new RunFolder(resolve(folder)), plan: planRun(recipe, work), site };
}

/** Writes a script that can be run. */
export async function writeScript(path: string, text: string): Promise<void> {
  await writeFileAtomic(path, text);
  await chmod(path, 0o755);
}

/** What these stages made is small, and written anew when their settings change. */
const cheap: readonly string[] = ['evaluate', 'reduce'];

async function refuseChange(run: RunFolder, stage: Stage): Promise<void> {
  if (cheap.includes(stage.name)) return;
  const names = await readdir(run.records(stage.name)).catch(() => []);
  const shards = names.map((name) => Number(name.replace('.json', ''))).filter(Number.isInteger);
  const changed = shards
    .map((shard) => readTaskRecord(run.record(stage.name, shard)))
    .find((record) => record?.state === 'done' && record.fingerprint !== stage.fingerprint);
  if (changed === undefined) return;
  throw new SlurmError(
    'SLURM_PLAN_CHANGED',
    `${stage.name} has finished tasks in ${run.path}, and the recipe now asks for something else from it`,
    {
      hint: `Give another folder (--folder), or remove ${run.records(stage.name)} and what the stage made in the work folder.`,
      details: { stage: stage.name },
    },
  );
}
