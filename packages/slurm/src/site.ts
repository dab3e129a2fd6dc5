import { count, matching, object, text, texts, type Field, type Fields } from './check-object.js';
import { checkSettings, readJsonFile } from './settings-file.js';
import { stageNames, type StageName } from './stage-names.js';

/** What a job asks Slurm for. */
export interface Resources {
  /** Partition (queue). */
  readonly partition?: string | undefined;
  /** Account that is charged. */
  readonly account?: string | undefined;
  /** Quality of service. */
  readonly qos?: string | undefined;
  /** Features that a node must have. */
  readonly constraint?: string | undefined;
  /** Time limit: minutes, `HH:MM:SS` or `D-HH:MM:SS`. A task that runs out of it is queued again, and goes on. */
  readonly time?: string | undefined;
  /** Memory of a task: `16G`. */
  readonly memory?: string | undefined;
  /** Cores of a task; also its threads. */
  readonly cpus?: number | undefined;
  /** GPUs of a task, for commands told to use them. */
  readonly gpus?: number | undefined;
  /** Tasks of an array that run at a time. */
  readonly arrayLimit?: number | undefined;
  /** Further options of sbatch: `--exclude=node7`. */
  readonly sbatch?: readonly string[] | undefined;
}

/** How a cluster wants to be used: the same file serves every recipe. */
export interface Site extends Resources {
  /** Environment modules to load. */
  readonly modules: readonly string[];
  /** Lines of shell that run before every task. */
  readonly setup: readonly string[];
  /** Seconds before the time limit at which a task is told to stop and is queued again. */
  readonly warningSeconds: number;
  /** How often a task whose process was killed is started again in the same job. */
  readonly retries: number;
  /** What single stages ask for instead. */
  readonly stages: Readonly<Partial<Record<StageName, Resources>>>;
}

const resourceFields: Fields<Resources> = {
  partition: text,
  account: text,
  qos: text,
  constraint: text,
  time: matching(/^(\d+-)?\d+(:\d+){0,2}$/, 'minutes, HH:MM:SS or D-HH:MM:SS'),
  memory: matching(/^\d+[KMGT]?$/i, 'a size such as 16G'),
  cpus: count(1, 4096),
  gpus: count(0, 64),
  arrayLimit: count(1, 100_000),
  sbatch: texts,
};

const resources = object<Resources>(resourceFields);
const site = object<Site>({
  ...resourceFields,
  modules: texts,
  setup: texts,
  // Slurm's own limit for --signal is 65535.
  warningSeconds: count(1, 65_535),
  retries: count(0, 100),
  stages: object<Record<StageName, Resources>>(
    Object.fromEntries(stageNames.map((name) => [name, resources])) as Record<StageName, typeof resources>,
  ),
});

const defaultWarningSeconds = 120;

/** A task that is told to stop as soon as it starts would be queued again for ever. */
const withTimeToWork: Field<Partial<Site>> = (value, place, problems) => {
  const found = site(value, place, problems);
  const warning = found?.warningSeconds ?? defaultWarningSeconds;
  for (const [name, { time }] of Object.entries({ '': found ?? {}, ...found?.stages })) {
    if (time === undefined || limitSeconds(time) > warning) continue;
    const key = name === '' ? 'time' : `stages.${name}.time`;
    problems.push(`${key} is ${time}, and no more than warningSeconds (${warning}): no time is left to work`);
  }
  return found;
};

/** Seconds of `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`, `days-hours:minutes:seconds`. */
function limitSeconds(time: string): number {
  const [days, clock] = time.includes('-') ? time.split('-') : ['0', time];
  const parts = clock.split(':').map(Number);
  const fromHours = time.includes('-') || parts.length === 3;
  const [hours, minutes, seconds] = fromHours ? parts : [0, ...parts];
  return ((Number(days) * 24 + hours) * 60 + (minutes ?? 0)) * 60 + (seconds ?? 0);
}

/**
 * Checks the settings of a site; all may be left out.
 *
 * @param value - the parsed file
 * @param source - its name in messages
 * @throws {@link SlurmError} `SLURM_SITE`
 */
export function checkSite(value: unknown, source: string): Site {
  const given = checkSettings(value, withTimeToWork, source, 'SLURM_SITE');
  return {
    ...given,
    modules: given.modules ?? [],
    setup: given.setup ?? [],
    warningSeconds: given.warningSeconds ?? defaultWarningSeconds,
    retries: given.retries ?? 2,
    stages: given.stages ?? {},
  };
}

/**
 * Reads the settings of a site.
 *
 * @param path - a JSON file
 * @throws {@link SlurmError} `SLURM_SITE`; `KnnLmError` `FILE_…`
 */
export function readSite(path: string): Site {
  return checkSite(readJsonFile(path, 'SLURM_SITE'), path);
}

/** What one stage asks for. */
export function resourcesOf(site: Site, stage: StageName): Resources {
  return { ...site, ...site.stages[stage] };
}
