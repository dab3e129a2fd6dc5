import type { Logger } from '@knn-lm/common';
import { CheckpointError } from '../errors.js';
import { describeValue } from '../pickle/literals.js';
import { PyObject, type PyValue } from '../pickle/values.js';
import { plainSetting, unwrap } from './omegaconf.js';
import { Settings } from './settings.js';

/** Settings to use in place of the checkpoint's, as fairseq's `--model-overrides`. */
export type ModelOverrides = Readonly<Record<string, unknown>>;

/** The settings of a model and its name. */
export interface ModelSettings {
  /** Name of the model or architecture, such as `transformer_lm_wiki103`. */
  readonly name: string;
  /** Everything else. */
  readonly settings: Settings;
}

/**
 * Finds the model's settings in a checkpoint: an `argparse.Namespace` under `args` (fairseq before 0.10), or the `model`
 * part of the configuration under `cfg`. As in fairseq, `args` comes first when both are there.
 *
 * @param path - the checkpoint, for messages
 * @param root - the unpickled checkpoint
 * @throws {@link CheckpointError} `CHECKPOINT_NOT_FAIRSEQ`
 */
export function findModelSettings(path: string, root: ReadonlyMap<PyValue, PyValue>): ModelSettings {
  const args = root.get('args');
  if (args instanceof PyObject && args.state instanceof Map) {
    return named(path, 'arch', textEntries(args.state), 'transformer_lm');
  }
  const cfg = unwrap(root.get('cfg'));
  const model = cfg instanceof Map ? namespaceEntries(unwrap(cfg.get('model'))) : undefined;
  if (!(cfg instanceof Map) || model === undefined) {
    const keys = [...root.keys()].slice(0, 8).map((key) => describeValue(key));
    throw new CheckpointError(
      'CHECKPOINT_NOT_FAIRSEQ',
      `${path}: has neither args nor a cfg with a model; it has ${keys.join(', ')}`,
      {
        hint: 'Give the model.pt (or checkpoint_best.pt) that fairseq-train wrote, not only its weights.',
        details: { path },
      },
    );
  }
  const resolved = textEntries(model).map(([key, value]): [string, PyValue] => [
    key,
    plainSetting(value, cfg),
  ]);
  return named(path, '_name', resolved, undefined);
}

/** A dict as it is, and the attributes of a Namespace. */
function namespaceEntries(value: PyValue | undefined): Map<PyValue, PyValue> | undefined {
  if (value instanceof Map) return value;
  return value instanceof PyObject && value.state instanceof Map ? value.state : undefined;
}

function textEntries(entries: ReadonlyMap<PyValue, PyValue>): [string, PyValue][] {
  return [...entries].filter((entry): entry is [string, PyValue] => typeof entry[0] === 'string');
}

function named(
  path: string,
  key: string,
  entries: readonly (readonly [string, PyValue])[],
  fallback: string | undefined,
): ModelSettings {
  const settings = new Settings(path, entries);
  if (fallback !== undefined) settings.setDefault(key, fallback);
  const name = settings.text(key);
  if (!/^transformer_lm(_|$)/.test(name)) throw settings.refuse(key, 'this model is');
  return { name, settings };
}

/**
 * Replaces settings. Those that the model does not have are left out, as fairseq does, with a warning.
 *
 * @throws {@link CheckpointError} `CHECKPOINT_OVERRIDE` when a value is no plain value
 */
export function applyOverrides(settings: Settings, overrides: ModelOverrides, logger?: Logger): void {
  for (const [name, value] of Object.entries(overrides)) {
    const plain = value === null || ['string', 'number', 'boolean'].includes(typeof value);
    if (!plain) {
      throw new CheckpointError('CHECKPOINT_OVERRIDE', `model override ${name}: a ${typeof value} is given`, {
        hint: 'Give a number, a string, a boolean or null.',
        details: { setting: name },
      });
    }
    if (settings.has(name)) settings.set(name, value as PyValue);
    else logger?.warn(`model override ${name}: the model has no such setting; it is ignored`);
  }
}
