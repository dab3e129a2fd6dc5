import type { Logger } from '@knn-lm/common';
import { applyDefaults } from './config/architecture-defaults.js';
import { applyOverrides, findModelSettings, type ModelOverrides } from './config/model-settings.js';
import { layersToKeep, readArchitecture } from './config/read-architecture.js';
import { openContainer } from './container/open-container.js';
import { verifyStorages } from './container/verify-storages.js';
import { readScalar, storedTensor, type StoredTensor } from './container/stored-tensor.js';
import type { TorchContainer } from './container/container.js';
import { CheckpointError } from './errors.js';
import { describeValue } from './pickle/literals.js';
import type { PyValue } from './pickle/values.js';
import { countLayers, findStateDict, upgradeStateDict, type StateDict } from './state-dict.js';
import { matchTensors } from './match-tensors.js';
import { countVocabulary } from './vocabulary.js';
import type { Checkpoint } from './weights.js';

/** Options of {@link openCheckpoint}. */
export interface OpenCheckpointOptions {
  /** Settings to use in place of the checkpoint's, such as `{ max_target_positions: 512 }`. */
  readonly modelOverrides?: ModelOverrides | undefined;
  /** Receives warnings. */
  readonly logger?: Logger | undefined;
}

/**
 * Opens a checkpoint of a fairseq transformer language model (`fairseq-train --task language_modeling`), in the zip or
 * the legacy format, without executing anything in it. The settings and every tensor's place, type and shape are
 * checked; tensor data is not read.
 *
 * @param path - the `model.pt`
 * @param options - overrides of settings
 * @returns the open checkpoint; close it
 * @throws {@link CheckpointError} when the file is missing, damaged, or holds a model that is not supported
 * @example
 * ```ts
 * const checkpoint = await openCheckpoint('model.pt');
 * const embedding = checkpoint.tensors.get('decoder.layers.0.fc1.weight')?.readFloat32(0, 1);
 * checkpoint.close();
 * ```
 */
export function openCheckpoint(path: string, options: OpenCheckpointOptions = {}): Promise<Checkpoint> {
  // Opening reads some 100 KB and takes milliseconds; the promise leaves room for files that are not local.
  return new Promise((resolve) => resolve(openNow(path, options)));
}

function openNow(path: string, options: OpenCheckpointOptions): Checkpoint {
  const container = openContainer(path);
  try {
    return readCheckpoint(container, options);
  } catch (error) {
    container.file.close();
    throw error;
  }
}

function readCheckpoint(container: TorchContainer, options: OpenCheckpointOptions): Checkpoint {
  const { file, format, root } = container;
  const { path } = file;
  if (!(root instanceof Map)) {
    throw new CheckpointError(
      'CHECKPOINT_NOT_FAIRSEQ',
      `${path}: holds ${describeValue(root)}, but a dict is expected`,
      {
        hint: 'Give the model.pt (or checkpoint_best.pt) that fairseq-train wrote.',
        details: { path },
      },
    );
  }
  const model = findModelSettings(path, root);
  applyDefaults(model.settings, model.name);
  applyOverrides(model.settings, options.modelOverrides ?? {}, options.logger);
  const stateDict = findStateDict(path, root);
  const upgraded = upgradeStateDict(stateDict, layersToKeep(model.settings));
  const stored = new Map(
    [...upgraded].map(([name, { storedName, value, third }]) => [
      name,
      { tensor: storedTensor(container, storedName, value), third },
    ]),
  );
  const config = readArchitecture(model, {
    vocabSize: countVocabulary(path, new Map([...stored].map(([name, { tensor }]) => [name, tensor.shape]))),
    decoderVersion: readVersion(container, stateDict),
    layerCount: countLayers(stored.keys()),
  });
  const tensors = matchTensors(container, config, stored);
  const used = [...stored.values()].map(({ tensor }) => tensor);
  return {
    path,
    format,
    byteLength: file.size,
    config,
    tensors,
    verify: (task = {}) => verifyStorages(container, used, task),
    close: () => file.close(),
  };
}

/** Value of the buffer `decoder.version`: 1 when there is none. */
function readVersion(container: TorchContainer, stateDict: StateDict): number {
  const value: PyValue | undefined = stateDict.get('decoder.version');
  if (value === undefined) return 1;
  const tensor: StoredTensor = storedTensor(container, 'decoder.version', value);
  return readScalar(container, tensor);
}
