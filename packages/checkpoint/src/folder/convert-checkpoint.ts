import { mkdir, open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  describeFileError,
  ensureFolder,
  temporaryName,
  throwIfAborted,
  type TaskOptions,
} from '@knn-lm/common';
import type { ModelOverrides } from '../config/model-settings.js';
import { CheckpointError } from '../errors.js';
import { defaultModule, ensureGraph } from '../graph/index.js';
import { openCheckpoint } from '../open-checkpoint.js';
import type { Checkpoint, ModelFolder } from '../weights.js';
import { modelFingerprint } from './fingerprint.js';
import { formatConfig, newConfig } from './folder-config.js';
import { folderStamp, installFolder, refuseForeignFolder, removeStale } from './install-folder.js';
import { folderLayout } from './layout.js';
import { isFrom, tryOpen } from './made-from.js';
import { openModelFolder } from './open-model-folder.js';
import { fileSha256, fileStamp, type FileStamp } from './source-identity.js';
import { writeWeights } from './write-weights.js';

/** Options of {@link convertCheckpoint}. */
export interface ConvertOptions extends TaskOptions {
  /** Settings to use in place of the checkpoint's, such as `{ max_target_positions: 512 }`. */
  readonly modelOverrides?: ModelOverrides | undefined;
}

/**
 * Converts a checkpoint to a model folder: `weights.bin` (all parameters, float32), `keys.onnx` and `score.onnx` for the
 * default captured module, and `config.json`. The folder gets its name when it is complete; a model folder of that name
 * is replaced then. Memory in use stays below about 100 MB whatever the size of the model.
 *
 * @param path - the `model.pt`
 * @param folder - the folder to make
 * @param options - overrides; cancellation, progress (bytes), messages
 * @returns the opened folder
 * @throws {@link CheckpointError} when the checkpoint cannot be read or is not supported, or `MODEL_FOLDER_EXISTS` when
 * `folder` holds something else
 * @throws `KnnLmError` `FILE_…` when the folder cannot be written
 * @throws `CancelledError` when it was stopped; nothing is left then
 */
export async function convertCheckpoint(
  path: string,
  folder: string,
  options: ConvertOptions = {},
): Promise<ModelFolder> {
  throwIfAborted(options.signal, 'the conversion was stopped; nothing is kept');
  const stamp = await fileStamp(path);
  const checkpoint = await openCheckpoint(path, options);
  try {
    await refuseForeignFolder(folder);
    const before = await folderStamp(folder);
    await ensureFolder(dirname(folder));
    await removeStale(folder);
    const temporary = temporaryName(folder);
    try {
      await mkdir(temporary);
      const { source } = await fillFolder(checkpoint, stamp, temporary, options);
      await installFolder(temporary, folder, async () => {
        const isNew = (await folderStamp(folder)) !== before;
        return isNew && isFrom(tryOpen(folder), source.sha256, options.modelOverrides ?? {});
      });
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw describeFileError(error, folder, 'write the model folder');
    }
  } finally {
    checkpoint.close();
  }
  return openModelFolder(folder);
}

/** Writes everything into the temporary folder. */
async function fillFolder(
  checkpoint: Checkpoint,
  stamp: FileStamp,
  folder: string,
  options: ConvertOptions,
): Promise<ModelFolder> {
  const { path, config: architecture } = checkpoint;
  const sha256 = await fileSha256(path, options);
  await checkpoint.verify(options);
  const weights = await writeWeights(join(folder, folderLayout.weightsFile), checkpoint, options);
  const config = newConfig({
    architecture,
    fingerprint: modelFingerprint(architecture, (name) => weights.get(name)?.sha256),
    source: { ...stamp, sha256, modelOverrides: options.modelOverrides ?? {} },
    weights,
  });
  await writeSynced(join(folder, folderLayout.configFile), formatConfig(config));
  const model = openModelFolder(folder);
  for (const purpose of ['keys', 'score'] as const) {
    throwIfAborted(options.signal, 'the conversion was stopped; nothing is kept');
    await ensureGraph(model, purpose, defaultModule);
  }
  await refuseChanged(path, stamp);
  return model;
}

async function writeSynced(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A checkpoint that training wrote anew meanwhile would give a folder with parts of two models. */
async function refuseChanged(path: string, before: FileStamp): Promise<void> {
  const now = await fileStamp(path);
  if (now.byteLength === before.byteLength && now.modifiedMs === before.modifiedMs) return;
  throw new CheckpointError('CHECKPOINT_CHANGED', `${path}: was changed while it was converted`, {
    hint: 'Wait until it is complete and run the same command again.',
    details: { path },
  });
}
