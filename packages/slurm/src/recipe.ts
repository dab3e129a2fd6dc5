import { dirname, isAbsolute, join, resolve } from 'node:path';
import { count, flags, matching, object, text, yesOrNo, type Field } from './check-object.js';
import { SlurmError } from './errors.js';
import { checkSettings, readJsonFile } from './settings-file.js';
import { stageNames, type StageName } from './stage-names.js';

/** Texts that are to be binarized. */
export interface Texts {
  /** Text of the datastore. */
  readonly train: string;
  /** Text for choosing settings. */
  readonly valid?: string | undefined;
  /** Text that is evaluated. */
  readonly test?: string | undefined;
  /** Dictionary of the model. */
  readonly dictionary?: string | undefined;
}

/** What a recipe says of one stage. */
export interface StageSettings {
  /** Tasks of the stage's array. */
  readonly tasks?: number | undefined;
  /** Further flags of its command. */
  readonly flags?: readonly string[] | undefined;
}

/** A kNN-LM experiment: what goes in, and how each stage runs. All paths are absolute. */
export interface Recipe {
  /** Begins the names of the jobs. */
  readonly name: string;
  /** The folder that relative paths start from; every task runs in it. */
  readonly folder: string;
  /** Binarized text, or the texts to binarize. */
  readonly data: string | Texts;
  /** fairseq checkpoint, model folder or ONNX file. */
  readonly model: string;
  /** Module whose output is the key. */
  readonly module: string;
  /** Where the stages write; in the run's folder when left out. */
  readonly work?: string | undefined;
  /** Keep the shards of the datastore and read them as one, instead of copying them into one. */
  readonly linkShards: boolean;
  /** Keep the shards of the index and search them together, instead of merging them into one file. */
  readonly keepIndexShards: boolean;
  /** Settings of the stages. */
  readonly stages: Readonly<Partial<Record<StageName, StageSettings>>>;
}

/** Slurm takes 1,001 in one array unless a site raises MaxArraySize; a command that names every shard takes 10,000. */
const maxTasks = 10_000;
const defaultModule = 'layers[-1].final_layer_norm';

const texts = object<Texts>({ train: text, valid: text, test: text, dictionary: text });
const data: Field<string | Texts> = (value, place, problems) => {
  if (typeof value === 'string') return text(value, place, problems);
  const given = texts(value, place, problems);
  if (given !== undefined && given.train === undefined) problems.push(`${place}.train is missing`);
  return given?.train === undefined ? undefined : { ...given, train: given.train };
};

const stage = object<StageSettings>({ tasks: count(1, maxTasks), flags });
const stages = object<Record<StageName, StageSettings>>(
  Object.fromEntries(stageNames.map((name) => [name, stage])) as Record<StageName, typeof stage>,
);

/** What a recipe's file may hold. */
type RecipeFile = Omit<Recipe, 'folder'>;

const recipeFile = object<RecipeFile>({
  name: matching(/^[\w.-]{1,40}$/, 'up to 40 letters, digits, dots, dashes'),
  data,
  model: text,
  module: text,
  work: text,
  linkShards: yesOrNo,
  keepIndexShards: yesOrNo,
  stages,
});

/** One task each, whatever a recipe asks for: they put together what shards made, or cannot be divided. */
const undivided: readonly StageName[] = ['preprocess', 'convert', 'merge', 'train', 'join', 'reduce'];

/**
 * Checks a recipe.
 *
 * @param value - the parsed file
 * @param options - its name in messages, and the folder that its paths start from
 * @throws {@link SlurmError} `SLURM_RECIPE`, with all mistakes at once and the nearest known keys
 */
export function checkRecipe(
  value: unknown,
  options: { readonly source: string; readonly folder: string },
): Recipe {
  const { source } = options;
  const folder = resolve(options.folder);
  const given = checkSettings(value, complete, source, 'SLURM_RECIPE');
  const at = (path: string) => (isAbsolute(path) ? path : join(folder, path));
  return {
    name: given.name ?? 'knn-lm',
    folder,
    data: typeof given.data === 'string' ? at(given.data) : absoluteTexts(given.data, at),
    model: at(given.model),
    module: given.module ?? defaultModule,
    work: given.work === undefined ? undefined : at(given.work),
    linkShards: given.linkShards ?? true,
    keepIndexShards: given.keepIndexShards ?? false,
    stages: given.stages ?? {},
  };
}

/** Says what is missing, too. */
const complete: Field<Partial<RecipeFile> & Pick<RecipeFile, 'data' | 'model'>> = (
  value,
  place,
  problems,
) => {
  const found = recipeFile(value, place, problems);
  if (found === undefined) return undefined;
  const has = (name: string) => Object.hasOwn(value as object, name);
  for (const name of ['data', 'model']) if (!has(name)) problems.push(`${name} is missing`);
  for (const name of undivided) {
    const tasks = found.stages?.[name]?.tasks;
    if (tasks !== undefined && tasks > 1)
      problems.push(`stages.${name}.tasks is ${tasks}; this stage is one task`);
  }
  return found as Partial<RecipeFile> & Pick<RecipeFile, 'data' | 'model'>;
};

function absoluteTexts(given: Texts, at: (path: string) => string): Texts {
  const { train, valid, test, dictionary } = given;
  const optional = (path: string | undefined) => (path === undefined ? undefined : at(path));
  return { train: at(train), valid: optional(valid), test: optional(test), dictionary: optional(dictionary) };
}

/**
 * Reads a recipe; its relative paths start from the folder of the file.
 *
 * @param path - a JSON file
 * @throws {@link SlurmError} `SLURM_RECIPE`; `KnnLmError` `FILE_…`
 */
export function readRecipe(path: string): Recipe {
  return checkRecipe(readJsonFile(path, 'SLURM_RECIPE'), { source: path, folder: dirname(path) });
}

/** Settings given on the command line as `stages.generate.tasks=4`, put into a recipe's JSON. */
export function withSettings(value: unknown, settings: readonly string[]): unknown {
  const result = structuredClone(value ?? {}) as Record<string, unknown>;
  for (const setting of settings) {
    const at = setting.indexOf('=');
    if (at < 1) {
      throw new SlurmError('SLURM_RECIPE', `--set ${setting}: expected KEY=VALUE`, {
        hint: 'For example --set stages.generate.tasks=4.',
      });
    }
    const keys = setting.slice(0, at).split('.');
    let target = result;
    for (const key of keys.slice(0, -1)) {
      if (typeof target[key] !== 'object' || target[key] === null) target[key] = {};
      target = target[key] as Record<string, unknown>;
    }
    target[keys[keys.length - 1]] = plainValue(setting.slice(at + 1));
  }
  return result;
}

function plainValue(source: string): unknown {
  if (source === 'true' || source === 'false') return source === 'true';
  return /^\d+$/.test(source) ? Number(source) : source;
}
