import type { ModelOverrides } from '../config/model-settings.js';
import { CheckpointError } from '../errors.js';
import type { ModelFolder } from '../weights.js';
import { canonicalJson } from './fingerprint.js';
import { openModelFolder } from './open-model-folder.js';

/** The model folder, or `undefined` when it is none, or damaged, or of an older version. */
export function tryOpen(folder: string): ModelFolder | undefined {
  try {
    return openModelFolder(folder);
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}

/** Whether a folder was made from a checkpoint of this content with these overrides. */
export function isFrom(model: ModelFolder | undefined, sha256: string, overrides: ModelOverrides): boolean {
  return model?.source.sha256 === sha256 && sameOverrides(model, overrides);
}

/** Whether a folder was made with these overrides. */
export function sameOverrides(model: ModelFolder, overrides: ModelOverrides): boolean {
  return canonicalJson(model.source.modelOverrides) === canonicalJson(overrides);
}
