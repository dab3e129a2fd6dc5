import { open } from 'node:fs/promises';
import { describeFileError, writeFileAtomic } from '@knn-lm/common';
import { lambdaFunction, type AdaptiveLambda } from './adaptive-lambda.js';
import { KnnError } from './errors.js';
import { checkMixing } from './evaluate.js';

/** How neighbours are searched and mixed: what a tuned kNN-LM consists of beside its model and datastore. */
export interface KnnSettings {
  /** Neighbours of each token. */
  readonly k: number;
  /** Divisor of the squared distances. */
  readonly temperature: number;
  /** Weight of the neighbours, for all tokens or by the nearest neighbour's distance. */
  readonly lambda: number | AdaptiveLambda;
  /** Whether distances are recomputed from the keys; distances of another kind want another temperature. */
  readonly recomputeDistance: boolean;
  /** Lists of the index that a search visits; `undefined` for an index without lists. */
  readonly nprobe?: number | undefined;
  /** Whether the weights of a pruned datastore count. */
  readonly valueWeights: boolean;
}

/** What settings were found with. What is not known, such as the content of a datastore without a manifest, is absent. */
export interface SettingsFingerprints {
  /** The model. */
  readonly model?: string | undefined;
  /** The module whose output is the key. */
  readonly module?: string | undefined;
  /** The dictionary. */
  readonly dictionary?: string | undefined;
  /** Content of the datastore. */
  readonly datastore?: string | undefined;
  /** Content of the index. */
  readonly index?: string | undefined;
}

/** One result of tuning, as the settings file tells it. */
export interface SettingsResult {
  /** Split of the data. */
  readonly split: string;
  /** Fingerprint of its text. */
  readonly textFingerprint: string;
  /** Tokens that count. */
  readonly tokenCount: number;
  /** Perplexity with the settings. */
  readonly perplexity: number;
  /** Perplexity of the language model alone. */
  readonly lmPerplexity: number;
}

/** A settings file. */
export interface SettingsFile {
  /** The settings. */
  readonly settings: KnnSettings;
  /** What they were found with. */
  readonly fingerprints: SettingsFingerprints;
  /** Where they were found, and where they were tried. */
  readonly results: readonly SettingsResult[];
}

/** A fingerprint that is not the one the settings were found with. */
export interface SettingsMismatch {
  /** What differs. */
  readonly what: keyof SettingsFingerprints;
  /** In the file. */
  readonly inFile: string;
  /** Now. */
  readonly now: string;
}

const formatName = 'knn-lm-settings';
const formatVersion = 1;
/** Settings of a few hundred steps are some kilobytes. */
const mostBytes = 2 ** 20;

/**
 * Writes a settings file, whole or not at all: JSON with `format`, `version`, and the fields of {@link SettingsFile}.
 *
 * @param path - the file
 * @param file - its content
 * @throws {@link KnnError} when a setting is out of range; `KnnLmError` `FILE_…`
 */
export async function writeSettings(path: string, file: SettingsFile): Promise<void> {
  checkKnnSettings(file.settings);
  const { settings, fingerprints, results } = file;
  const content = { format: formatName, version: formatVersion, settings, fingerprints, results };
  try {
    await writeFileAtomic(path, `${JSON.stringify(content, undefined, 2)}\n`);
  } catch (cause) {
    throw describeFileError(cause, path, 'write the settings');
  }
}

/**
 * Reads a settings file and checks every setting in it.
 *
 * @param path - the file
 * @throws {@link KnnError} `SETTINGS_FORMAT`, or as {@link checkKnnSettings}; `KnnLmError` `FILE_…`
 */
export async function readSettings(path: string): Promise<SettingsFile> {
  const fields = parseObject(await readSmallFile(path), path);
  if (fields['format'] !== formatName) throw wrongFormat(path, `it has no format "${formatName}"`);
  if (fields['version'] !== formatVersion) {
    throw wrongFormat(
      path,
      `its version is ${String(fields['version'])}, this program reads ${formatVersion}`,
    );
  }
  const { settings, fingerprints, results } = fields;
  if (!isRecord(settings) || !isRecord(fingerprints) || !Array.isArray(results))
    throw wrongFormat(path, 'settings, fingerprints or results are missing');
  if (Object.values(fingerprints).some((value) => typeof value !== 'string'))
    throw wrongFormat(path, 'a fingerprint is not text');
  const checked = checkedSettings(settings, path);
  return { settings: checked, fingerprints, results: results as readonly SettingsResult[] };
}

/**
 * Checks settings.
 *
 * @throws {@link KnnError} `LAMBDA_RANGE`, `TEMPERATURE_RANGE`, `NEIGHBORS_RANGE`
 */
export function checkKnnSettings({ k, temperature, lambda }: KnnSettings): void {
  checkMixing({ k, temperature, lambda: typeof lambda === 'number' ? lambda : lambdaFunction(lambda) });
}

/**
 * Lists what differs between the fingerprints of a settings file and those of now. What either does not know counts as
 * equal.
 *
 * @param inFile - of the file
 * @param now - of what is open
 */
export function compareFingerprints(
  inFile: SettingsFingerprints,
  now: SettingsFingerprints,
): SettingsMismatch[] {
  const whats = ['model', 'module', 'dictionary', 'datastore', 'index'] as const;
  return whats.flatMap((what) => {
    const [before, after] = [inFile[what], now[what]];
    return before === undefined || after === undefined || before === after
      ? []
      : [{ what, inFile: before, now: after }];
  });
}

/**
 * Refuses settings that were found with another model, module, dictionary, datastore or index.
 *
 * @param path - of the settings file, for the message
 * @param file - its content
 * @param now - fingerprints of what is open
 * @throws {@link KnnError} `SETTINGS_MISMATCH`, with both fingerprints
 */
export function checkFingerprints(path: string, file: SettingsFile, now: SettingsFingerprints): void {
  const [first] = compareFingerprints(file.fingerprints, now);
  if (first === undefined) return;
  const { what, inFile, now: found } = first;
  throw new KnnError(
    'SETTINGS_MISMATCH',
    `${path} was made with another ${what}: ${inFile}; this evaluation has ${found}`,
    {
      hint: 'Tune again with knn-lm tune (--force takes the settings all the same).',
      details: { path, what, found, expected: inFile },
    },
  );
}

async function readSmallFile(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > mostBytes)
        throw wrongFormat(path, `it has ${size} bytes, settings have at most ${mostBytes}`);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw describeFileError(cause, path, 'read the settings');
  }
}

function parseObject(text: string, path: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrongFormat(path, 'it is not JSON');
  }
  if (!isRecord(value)) throw wrongFormat(path, 'it is not a JSON object');
  return value;
}

function checkedSettings(fields: Record<string, unknown>, path: string): KnnSettings {
  const { k, temperature, lambda, recomputeDistance, nprobe, valueWeights } = fields;
  const isLambda = typeof lambda === 'number' || isAdaptive(lambda);
  const isNprobe = nprobe === undefined || (Number.isInteger(nprobe) && (nprobe as number) >= 1);
  if (typeof k !== 'number' || typeof temperature !== 'number' || !isLambda || !isNprobe)
    throw wrongFormat(path, 'k, temperature, lambda or nprobe is not what it should be');
  if (typeof recomputeDistance !== 'boolean' || typeof valueWeights !== 'boolean')
    throw wrongFormat(path, 'recomputeDistance or valueWeights is not true or false');
  const settings = {
    k,
    temperature,
    lambda,
    recomputeDistance,
    valueWeights,
    nprobe: nprobe as number | undefined,
  };
  checkKnnSettings(settings);
  return settings;
}

function isAdaptive(value: unknown): value is AdaptiveLambda {
  if (!isRecord(value) || value['kind'] !== 'nearest-distance') return false;
  const { edges, lambdas } = value;
  const areNumbers = (list: unknown) => Array.isArray(list) && list.every((one) => typeof one === 'number');
  return areNumbers(edges) && areNumbers(lambdas);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrongFormat(path: string, reason: string): KnnError {
  return new KnnError('SETTINGS_FORMAT', `${path} is not a settings file: ${reason}`, {
    hint: 'Make it with knn-lm tune --save-settings.',
    details: { path, reason },
  });
}
