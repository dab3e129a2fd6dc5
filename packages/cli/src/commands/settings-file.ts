import { statSync } from 'node:fs';
import type { TaskOptions } from '@knn-lm/common';
import { digestFile, readIndexRecord } from '@knn-lm/index';
import {
  checkFingerprints,
  compareFingerprints,
  readSettings,
  type AdaptiveLambda,
  type SettingsFile,
  type SettingsFingerprints,
} from '@knn-lm/knn-lm';
import type { OptionValue } from '../options/option.js';
import type { ParsedArguments } from '../options/parse.js';
import type { NeighborSetup } from './eval.js';
import type { Values } from './lm-task.js';
import { openNeighbors, type NeighborTask } from './neighbors.js';

/** Option values with those of a settings file among them. */
export interface SettledValues {
  /** The values; what a settings file says stands where no flag was given. */
  readonly values: Values;
  /** The file; `undefined` when none was given. */
  readonly file: SettingsFile | undefined;
  /** A lambda that no flag can hold; `undefined` when the flag's counts. */
  readonly adaptive: AdaptiveLambda | undefined;
  /** Lines that say what comes from the file and what does not. */
  readonly lines: readonly string[];
}

/**
 * Reads `--settings`, if it was given, into the option values. Flags that were given win, and a line says so.
 *
 * @param parsed - the command line
 * @throws KnnError `SETTINGS_FORMAT`, and for settings out of range
 */
export async function settleValues(parsed: ParsedArguments): Promise<SettledValues> {
  const { values } = parsed;
  const path = (values['settings'] ?? null) as string | null;
  if (path === null) return { values, file: undefined, adaptive: undefined, lines: [] };
  const file = await readSettings(path);
  const { k, temperature, lambda, recomputeDistance, nprobe, valueWeights } = file.settings;
  const given = new Set(parsed.given.flatMap(({ flags }) => flags));
  const kept: string[] = [];
  const settled: Record<string, OptionValue> = { ...values, score_knn_lm: true };
  const settle = (flag: string, name: string, value: OptionValue) => {
    if (!given.has(flag)) settled[name] = value;
    else if (settled[name] !== value) kept.push(flag);
  };
  settle('--num-neighbors', 'num_neighbors', k);
  settle('--temperature-value', 'temperature_value', temperature);
  settle('--lambda-value', 'lambda_value', typeof lambda === 'number' ? lambda : 'adaptive');
  settle('--recompute-distance', 'recompute_distance', recomputeDistance);
  settle('--load-value-weights', 'load_value_weights', valueWeights);
  if (nprobe !== undefined) settle('--nprobe', 'nprobe', nprobe);
  if (settled['recompute_distance'] === true) settled['load_keys'] = true;
  const adaptive = settled['lambda_value'] === 'adaptive' && typeof lambda !== 'number' ? lambda : undefined;
  // A number has to stand there; it is not used.
  if (adaptive !== undefined) settled['lambda_value'] = values['lambda_value'];
  const lines = [`settings of ${path}`];
  if (kept.length > 0) lines.push(`given on the command line, so not taken from ${path}: ${kept.join(', ')}`);
  return { values: settled, file, adaptive, lines };
}

/**
 * Opens datastore and index with the settings, after a check that these belong to them; with `--force` a line says what
 * does not.
 *
 * @param settled - the settings
 * @param task - the opened model and text
 * @param surroundings - how to watch and stop the work
 * @throws KnnError `SETTINGS_MISMATCH`, and as {@link openNeighbors}
 */
export async function openSettledNeighbors(
  settled: SettledValues,
  task: NeighborTask,
  surroundings: TaskOptions,
): Promise<NeighborSetup> {
  const { values, file, adaptive, lines } = settled;
  for (const line of lines) surroundings.logger?.info(line);
  const neighbors = await openNeighbors(values, task, surroundings, adaptive);
  if (file === undefined) return neighbors;
  try {
    const now = await fingerprintsOf(task, neighbors);
    const path = values['settings'] as string;
    if (values['force'] !== true) checkFingerprints(path, file, now);
    for (const { what, inFile, now: found } of compareFingerprints(file.fingerprints, now)) {
      surroundings.logger?.warn(
        `${path} was made with another ${what}: ${inFile}; this evaluation has ${found}`,
      );
    }
    return neighbors;
  } catch (error) {
    neighbors.close();
    throw error;
  }
}

/**
 * What settings are bound to.
 *
 * @param task - model and dictionary
 * @param neighbors - datastore and index; an index that was not built here is read once for its checksum
 */
export async function fingerprintsOf(
  task: NeighborTask,
  { datastore, index }: NeighborSetup,
): Promise<SettingsFingerprints> {
  const { info } = task.model;
  const record = readIndexRecord(index.path);
  const known = record !== undefined && record.bytes === statSync(index.path).size;
  return {
    model: info.fingerprint,
    module: info.moduleToCapture,
    dictionary: task.dictionary.fingerprint,
    datastore: datastore.fingerprint,
    index: known ? record.sha256 : (await digestFile(index.path)).sha256,
  };
}
