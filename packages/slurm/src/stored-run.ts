import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { SlurmError } from './errors.js';
import type { Plan, Stage } from './plan.js';
import type { Recipe } from './recipe.js';
import { RunFolder } from './run-folder.js';
import type { Site } from './site.js';

/** What a run was planned from; the commands that come later read it. */
export interface StoredRun {
  /** The recipe. */
  readonly recipe: Recipe;
  /** The site's settings. */
  readonly site: Site;
  /** Folder that the stages write to. */
  readonly work: string;
  /** Folders put before PATH. */
  readonly path: readonly string[];
}

/** Version of `plan.json`. */
export const planVersion = 1;

/**
 * Reads what a run was planned from.
 *
 * @param folder - the run's folder
 * @throws {@link SlurmError} `SLURM_NO_RUN`
 */
export function readStoredRun(folder: string): StoredRun {
  const run = new RunFolder(resolve(folder));
  if (!existsSync(run.plan)) {
    throw new SlurmError('SLURM_NO_RUN', `${folder} is no folder of knn-lm slurm: it has no plan.json`, {
      hint: 'Make one with knn-lm slurm RECIPE.json.',
      details: { folder },
    });
  }
  try {
    const stored = JSON.parse(readFileSync(run.plan, 'utf8')) as StoredRun & { version: number };
    if (stored.version !== planVersion) throw new Error(`version ${stored.version}`);
    return stored;
  } catch (cause) {
    throw new SlurmError('SLURM_NO_RUN', `${run.plan} cannot be read: ${(cause as Error).message}`, {
      hint: 'Run knn-lm slurm with the recipe and this folder again: it writes the file anew.',
      details: { folder },
      cause,
    });
  }
}

/**
 * A stage by its name.
 *
 * @throws {@link SlurmError} `SLURM_TASK`
 */
export function findStage(plan: Plan, name: string): Stage {
  const stage = plan.stages.find((candidate) => candidate.name === name);
  if (stage !== undefined) return stage;
  const known = plan.stages.map((candidate) => candidate.name).join(', ');
  throw new SlurmError('SLURM_TASK', `this run has no stage ${name}; it has ${known}`, {
    hint: 'The name of a stage is that of its script.',
    details: { stage: name },
  });
}
