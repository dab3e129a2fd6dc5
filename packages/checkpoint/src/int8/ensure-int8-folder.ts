import { constants } from 'node:fs';
import { copyFile, link, mkdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describeFileError, ensureFolder, temporaryName, type TaskOptions } from '@knn-lm/common';
import { CheckpointError } from '../errors.js';
import { cacheFolder, isMeantForWriting, modelFolderSuffix } from '../folder/folder-location.js';
import { installFolder, removeStale } from '../folder/install-folder.js';
import { folderLayout } from '../folder/layout.js';
import { tryOpen } from '../folder/made-from.js';
import { openModelFolder } from '../folder/open-model-folder.js';
import type { ModelFolder } from '../weights.js';
import { ensureInt8Weights, hasInt8Weights } from './ensure-int8-weights.js';

/** Options of {@link ensureInt8Folder}. */
export interface Int8FolderOptions extends TaskOptions {
  /** Folder for converted models; the user's cache when left out. */
  readonly modelCache?: string | undefined;
}

/**
 * A model folder with the 8-bit form of its linear layers: the folder itself, or, where it cannot be written, one in the
 * cache with the same weights. (A graph finds all of its weights in one folder. They are linked where cache and model are
 * on one file system, and copied otherwise.)
 *
 * @param model - an open model folder
 * @param options - where a folder that can be written is made; cancellation, progress (bytes), messages
 * @throws {@link CheckpointError} as {@link ensureInt8Weights} does; `KnnLmError` `FILE_…` when the cache cannot be written
 * @throws `CancelledError`
 */
export async function ensureInt8Folder(
  model: ModelFolder,
  options: Int8FolderOptions = {},
): Promise<ModelFolder> {
  if (await hasInt8Weights(model)) return model;
  if (await isMeantForWriting(model.folder)) {
    try {
      await ensureInt8Weights(model, options);
      return model;
    } catch (error) {
      if (!(error instanceof CheckpointError && isReadOnly(error.cause))) throw error;
    }
  }
  const copy = await writableCopy(model, options);
  await ensureInt8Weights(copy, options);
  return copy;
}

const readOnlyCodes = new Set(['EACCES', 'EPERM', 'EROFS']);

function isReadOnly(cause: unknown): boolean {
  return readOnlyCodes.has(String((cause as NodeJS.ErrnoException | undefined)?.code));
}

async function writableCopy(model: ModelFolder, options: Int8FolderOptions): Promise<ModelFolder> {
  const name = basename(model.folder).replace(new RegExp(`\\${modelFolderSuffix}$`), '');
  const identity = model.fingerprint.slice(0, 12);
  const folder = join(cacheFolder(options.modelCache), `${name}.${identity}${modelFolderSuffix}`);
  const isGood = (found: ModelFolder | undefined) => found?.fingerprint === model.fingerprint;
  const existing = tryOpen(folder);
  if (existing !== undefined && isGood(existing)) return existing;
  options.logger?.info(`${model.folder} cannot be written: the 8-bit weights go to ${folder}`);
  const temporary = temporaryName(folder);
  try {
    await ensureFolder(dirname(folder));
    await removeStale(folder);
    await mkdir(temporary);
    await linkOrCopy(join(model.folder, model.weightsFile), join(temporary, model.weightsFile));
    const config = folderLayout.configFile;
    await copyFile(join(model.folder, config), join(temporary, config));
    await installFolder(temporary, folder, () => Promise.resolve(isGood(tryOpen(folder))));
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw describeFileError(error, folder, 'write the 8-bit weights');
  }
  return openModelFolder(folder);
}

/** A link takes no room. The weights file is never changed in place. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch {
    await copyFile(from, to, constants.COPYFILE_FICLONE);
  }
}
