import { SlurmError } from './errors.js';
import type { Stage } from './plan.js';
import type { Recipe } from './recipe.js';
import type { StageName } from './stage-names.js';
import { shardId, type CommandWord, type WorkPath } from './word.js';

/** A stage before it has a place in a plan. */
export type StageDraft = Omit<Stage, 'name' | 'fingerprint'>;

const dataBin: WorkPath = { work: 'data-bin' };
const modelCache: WorkPath = { work: 'model' };
const datastore: WorkPath = { work: 'datastore' };
const shards = 'shards/';
const evaluation = 'evaluation/';
const partial = '.part';

/**
 * One stage of a recipe.
 *
 * @param recipe - the recipe
 * @param name - the stage
 * @returns `undefined` where the recipe does not need it
 * @throws {@link SlurmError} `SLURM_RECIPE` for flags that the plan itself sets
 */
export function describeStage(recipe: Recipe, name: StageName): StageDraft | undefined {
  return builders[name](recipe);
}

const builders: Readonly<Record<StageName, (recipe: Recipe) => StageDraft | undefined>> = {
  preprocess,
  convert,
  generate,
  merge,
  train,
  add,
  join,
  evaluate,
  reduce,
};

function preprocess(recipe: Recipe): StageDraft | undefined {
  const { data } = recipe;
  if (typeof data === 'string') return undefined;
  const flags = flagsOf(recipe, 'preprocess', ['--destdir', '--trainpref', '--validpref', '--testpref']);
  return {
    title: 'the texts as token ids',
    needs: [],
    tasks: 1,
    command: [
      'knn-lm',
      'preprocess',
      '--only-source',
      ...pair('--srcdict', data.dictionary),
      ...pair('--trainpref', data.train),
      ...pair('--validpref', data.valid),
      ...pair('--testpref', data.test),
      '--destdir',
      dataBin,
      ...flags,
    ],
    threadsFlag: unlessGiven('--workers', flags),
    outputs: [{ work: 'data-bin/dict.txt' }],
  };
}

function convert(recipe: Recipe): StageDraft | undefined {
  if (!/\.pt$/i.test(recipe.model)) return undefined;
  return {
    title: 'the checkpoint as a model folder',
    needs: [],
    tasks: 1,
    command: [
      'knn-lm',
      'convert-checkpoint',
      recipe.model,
      '--model-cache',
      modelCache,
      ...flagsOf(recipe, 'convert', ['--model-cache']),
    ],
    outputs: [modelCache],
  };
}

function generate(recipe: Recipe): StageDraft {
  const tasks = tasksOf(recipe, 'generate');
  const flags = flagsOf(recipe, 'generate', [...modelFlags, '--datastore', ...shardFlags]);
  const target: WorkPath = tasks === 1 ? datastore : { work: shards, shard: 'own' };
  return {
    title: 'the hidden state before every token of the text, and the token',
    needs: ['preprocess', 'convert'],
    tasks,
    command: [
      'knn-lm',
      'generate-datastore',
      dataOf(recipe),
      ...modelWords(recipe),
      ...(flags.includes('--gen-subset') ? [] : ['--gen-subset', 'train']),
      ...flags,
      ...shardWords(tasks),
      '--datastore',
      target,
    ],
    threadsFlag: unlessGiven('--threads', flags),
    outputs: [target],
  };
}

function merge(recipe: Recipe): StageDraft | undefined {
  const tasks = tasksOf(recipe, 'generate');
  if (tasks === 1) return undefined;
  return {
    title: recipe.linkShards ? 'the shards read as one datastore' : 'the shards copied into one datastore',
    needs: ['generate'],
    tasks: 1,
    command: [
      'knn-lm',
      'merge-datastore',
      '--datastore-list',
      { work: shards, shard: tasks },
      '--merged-datastore',
      datastore,
      ...(recipe.linkShards
        ? ['--link']
        : pair('--merged-keys-dtype', valueOf('--keys-dtype', recipe.stages.generate?.flags))),
      ...flagsOf(recipe, 'merge', ['--datastore-list', '--merged-datastore', '--link']),
    ],
    outputs: [datastore],
  };
}

/** With one task to add keys, training and adding are one stage. */
function train(recipe: Recipe): StageDraft {
  const isShared = tasksOf(recipe, 'add') > 1;
  const flags = flagsOf(recipe, 'train', indexFlags);
  return {
    title: isShared
      ? 'the index trained on a sample of the keys'
      : 'the index trained on a sample of the keys, and all keys added',
    needs: ['generate', 'merge'],
    tasks: 1,
    command: [
      'knn-lm',
      'build-index',
      '--datastore',
      datastore,
      ...flags,
      ...(isShared ? ['--train-only'] : []),
    ],
    threadsFlag: unlessGiven('--threads', flags),
    outputs: [{ work: isShared ? 'datastore/faiss.trained_index' : 'datastore/faiss.index' }],
  };
}

function add(recipe: Recipe): StageDraft | undefined {
  const tasks = tasksOf(recipe, 'add');
  if (tasks === 1) return undefined;
  const flags = [...flagsOf(recipe, 'train', indexFlags), ...flagsOf(recipe, 'add', indexFlags)];
  return {
    title: 'a part of the keys added to the trained index',
    needs: ['train'],
    tasks,
    command: ['knn-lm', 'build-index', '--datastore', datastore, ...flags, ...shardWords(tasks)],
    threadsFlag: unlessGiven('--threads', flags),
    outputs: [{ work: 'datastore/faiss.index.shard-', shard: 'own', suffix: `-of-${tasks}` }],
  };
}

function join(recipe: Recipe): StageDraft | undefined {
  if (tasksOf(recipe, 'add') === 1 || recipe.keepIndexShards) return undefined;
  const flags = flagsOf(recipe, 'join', []);
  return {
    title: 'one index of all shards',
    needs: ['add'],
    tasks: 1,
    command: ['knn-lm', 'merge-index', datastore, ...flags],
    threadsFlag: unlessGiven('--threads', flags),
    outputs: [{ work: 'datastore/faiss.index' }],
  };
}

/** An array over pieces of the text and, where the index stays in shards, over these: task = piece * shards + shard. */
function evaluate(recipe: Recipe): StageDraft {
  const pieces = tasksOf(recipe, 'evaluate');
  const indexShards = indexShardsOf(recipe);
  const own = [
    ...modelFlags,
    '--datastore',
    '--partial-result',
    '--index-shards',
    '--index-shard',
    ...shardFlags,
  ];
  const flags = flagsOf(recipe, 'evaluate', own);
  const target: WorkPath = { work: evaluation, shard: 'own', suffix: partial };
  return {
    title:
      indexShards === 1
        ? 'what each piece of the text adds to the loss'
        : `the nearest of each piece of the text in each of ${indexShards} shards of the index`,
    needs: ['generate', 'merge', 'train', 'add', 'join'],
    tasks: pieces * indexShards,
    command: [
      'knn-lm',
      'eval',
      dataOf(recipe),
      ...modelWords(recipe),
      '--score-knn-lm',
      ...flags.filter((flag) => flag !== '--score-knn-lm'),
      '--datastore',
      datastore,
      '--num-shards',
      String(pieces),
      '--shard-id',
      indexShards === 1 ? shardId : { quotient: indexShards },
      ...(indexShards === 1
        ? []
        : ['--index-shards', String(indexShards), '--index-shard', { remainder: indexShards }]),
      '--partial-result',
      target,
      // Changed settings may be evaluated in the same folder.
      '--overwrite',
    ],
    threadsFlag: unlessGiven('--threads', flags),
    outputs: [target],
  };
}

function reduce(recipe: Recipe): StageDraft {
  const result: WorkPath = { work: 'result.json' };
  return {
    title: 'the pieces added up to one loss',
    needs: ['evaluate'],
    tasks: 1,
    command: [
      'knn-lm',
      'reduce-eval',
      '--partial-results',
      { work: evaluation, shard: tasksOf(recipe, 'evaluate') * indexShardsOf(recipe), suffix: partial },
      '--output',
      result,
      ...flagsOf(recipe, 'reduce', ['--output']),
    ],
    outputs: [result],
  };
}

const modelFlags = ['--path', '--model-cache', '--module-to-capture'];
const shardFlags = ['--num-shards', '--shard-id'];
const indexFlags = ['--datastore', '--train-only', ...shardFlags];

function modelWords(recipe: Recipe): CommandWord[] {
  return [
    '--path',
    recipe.model,
    '--model-cache',
    modelCache,
    '--task',
    'language_modeling_knn',
    '--module-to-capture',
    recipe.module,
  ];
}

function dataOf(recipe: Recipe): CommandWord {
  return typeof recipe.data === 'string' ? recipe.data : dataBin;
}

function shardWords(tasks: number): CommandWord[] {
  return ['--num-shards', String(tasks), '--shard-id', shardId];
}

/** Shards of the index that are searched by different tasks. */
function indexShardsOf(recipe: Recipe): number {
  return recipe.keepIndexShards ? tasksOf(recipe, 'add') : 1;
}

function tasksOf(recipe: Recipe, name: StageName): number {
  return recipe.stages[name]?.tasks ?? 1;
}

/** The recipe's flags of a stage; those that the plan sets would contradict it. */
function flagsOf(recipe: Recipe, name: StageName, own: readonly string[]): readonly string[] {
  const flags = recipe.stages[name]?.flags ?? [];
  const taken = flags.find((flag) => own.includes(flag.split('=')[0]));
  if (taken === undefined) return flags;
  throw new SlurmError('SLURM_RECIPE', `stages.${name}.flags: ${taken} is set by the plan`, {
    hint: 'Leave it out: paths and shards come from data, model, work and tasks.',
    details: { stage: name, flag: taken },
  });
}

function pair(flag: string, value: string | undefined): string[] {
  return value === undefined ? [] : [flag, value];
}

function valueOf(flag: string, flags: readonly string[] = []): string | undefined {
  const at = flags.findLastIndex((given) => given.split('=')[0] === flag);
  return at < 0 ? undefined : (flags[at].split('=')[1] ?? flags[at + 1]);
}

function unlessGiven(flag: string, flags: readonly string[]): string | undefined {
  return flags.some((given) => given.split('=')[0] === flag) ? undefined : flag;
}
