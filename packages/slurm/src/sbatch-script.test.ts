import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planRun } from './plan.js';
import { checkRecipe, type Recipe } from './recipe.js';
import { remainingTasks } from './remaining.js';
import { RunFolder } from './run-folder.js';
import { sbatchScript } from './sbatch-script.js';
import { checkSite } from './site.js';
import { planSubmission } from './submission.js';
import { submitScript } from './submit-script.js';

const golden = join(import.meta.dirname, '..', 'test', 'golden');
const place = { run: '/scratch/me/runs/wiki103', path: ['/home/me/knn-lm/node_modules/.bin'] };

const recipe: Recipe = checkRecipe(
  {
    name: 'wiki103',
    data: { train: 'wiki.train.tokens', test: "it's a test.tokens", dictionary: 'dict.txt' },
    model: 'adaptive_lm_wiki103.v2/model.pt',
    stages: {
      generate: {
        tasks: 16,
        flags: '--tokens-per-sample 3072 --context-window 1536 --max-tokens 3072 --keys-dtype fp16',
      },
      train: { flags: '--ncentroids 4096 --num-trained-keys 1000000' },
      add: { tasks: 4 },
      evaluate: { tasks: 8, flags: ['--num-neighbors', '1024', '--lambda-value', '0.25'] },
    },
  },
  { source: 'recipe.json', folder: '/data/wiki' },
);
const site = checkSite(
  {
    partition: 'cpu',
    account: 'nlp',
    time: '08:00:00',
    memory: '16G',
    cpus: 8,
    arrayLimit: 10,
    modules: ['nodejs/20'],
    setup: ['export OMP_PROC_BIND=close'],
    warningSeconds: 180,
    stages: {
      train: { partition: 'fat', memory: '64G', time: '1-00:00:00', cpus: 32, sbatch: ['--exclusive'] },
    },
  },
  'site.json',
);
const plan = planRun(recipe, '/scratch/me/runs/wiki103/work');
const run = new RunFolder(place.run);

describe('the scripts of a run', () => {
  it.each(plan.stages.map((stage) => ({ name: stage.name, stage })))(
    '$name.sbatch',
    async ({ name, stage }) => {
      const script = sbatchScript(plan, stage, site, place);
      await expect(script).toMatchFileSnapshot(join(golden, `${name}.sbatch`));
    },
  );

  it('submit.sh', async () => {
    const submission = planSubmission(plan, remainingTasks(run, plan), [], []);
    const script = submitScript(plan, submission, { folder: run, site, linesBefore: 0 });
    await expect(script).toMatchFileSnapshot(join(golden, 'submit.sh'));
  });

  it('submit.sh of a run that goes on', async () => {
    const stage = (name: string) => plan.stages.find((candidate) => candidate.name === name)!;
    const remaining = new Map(plan.stages.map((each) => [each, [] as number[]]));
    remaining.set(stage('generate'), [2, 3, 4, 11]);
    remaining.set(stage('merge'), [0]);
    remaining.set(stage('evaluate'), [0, 1, 2, 3, 4, 5, 6, 7]);
    remaining.set(stage('reduce'), [0]);
    const jobs = [
      { stage: 'generate', job: '70' },
      { stage: 'merge', job: '71' },
    ];
    const queue = [
      { job: '70', tasks: [11], state: 'RUNNING', reason: 'None', node: 'c7' },
      { job: '71', tasks: [], state: 'PENDING', reason: 'DependencyNeverSatisfied', node: '' },
    ];
    const script = submitScript(plan, planSubmission(plan, remaining, jobs, queue), {
      folder: run,
      site,
      linesBefore: jobs.length,
    });
    await expect(script).toMatchFileSnapshot(join(golden, 'submit-rest.sh'));
  });
});
