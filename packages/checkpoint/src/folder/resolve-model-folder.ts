import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import type { ModelOverrides } from '../config/model-settings.js';
import { CheckpointError } from '../errors.js';
import type { ModelFolder } from '../weights.js';
import { convertCheckpoint } from './convert-checkpoint.js';
import { newConfig, formatConfig } from './folder-config.js';
import { folderBeside, folderInCache, isMeantForWriting } from './folder-location.js';
import { folderLayout } from './layout.js';
import { sameOverrides, tryOpen } from './made-from.js';
import { openModelFolder } from './open-model-folder.js';
import { fileSha256, fileStamp } from './source-identity.js';

/** Options of {@link resolveModelFolder}. */
export interface ResolveOptions extends TaskOptions {
  /** Folder for converted models; beside the checkpoint, or in the user's cache, when left out. */
  readonly modelCache?: string | undefined;
  /** Settings to use in place of the checkpoint's, such as `{ max_target_positions: 512 }`. */
  readonly modelOverrides?: ModelOverrides | undefined;
}

/** What the file system says when a folder cannot be written. */
const readOnlyCodes = new Set(['FILE_EACCES', 'FILE_EPERM', 'FILE_EROFS']);

/**
 * Finds the model folder for a checkpoint, and makes it when there is none or the checkpoint has changed since.
 *
 * The folder lies beside the checkpoint (`model.pt.knn-lm`), or in the user's cache when that place cannot be written,
 * or in `modelCache`. A checkpoint is taken to be unchanged when its size and time are; otherwise its content decides.
 *
 * @param path - a checkpoint, or a model folder, which is checked and returned as it is
 * @param options - where to; overrides; cancellation, progress, messages
 * @returns path of a complete model folder
 * @throws {@link CheckpointError} as {@link openCheckpoint} and {@link openModelFolder} do
 * @throws `CancelledError`
 */
export async function resolveModelFolder(path: string, options: ResolveOptions = {}): Promise<string> {
  const overrides = options.modelOverrides ?? {};
  if (await isFolder(path)) return openExisting(path, overrides);
  await fileStamp(path); // a clear error where there is nothing
  const inCache = await folderInCache(path, overrides, options.modelCache);
  const beside = folderBeside(path, overrides);
  const candidates = options.modelCache === undefined ? [beside, inCache] : [inCache];
  for (const folder of candidates) {
    if (await isCurrent(path, folder, options)) return folder;
  }
  if (options.modelCache === undefined && (await isMeantForWriting(dirname(path)))) {
    try {
      return await convert(path, beside, options);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && readOnlyCodes.has(String(error.code)))) throw error;
    }
  }
  return convert(path, inCache, options);
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isDirectory() ?? false;
}

function openExisting(folder: string, overrides: ModelOverrides): string {
  const model = openModelFolder(folder);
  if (Object.keys(overrides).length > 0 && !sameOverrides(model, overrides)) {
    throw new CheckpointError(
      'MODEL_FOLDER_OVERRIDES',
      `${folder}: was made with other model overrides (${JSON.stringify(model.source.modelOverrides)})`,
      { hint: 'Give the checkpoint itself, which is converted again.', details: { folder } },
    );
  }
  return folder;
}

async function convert(path: string, folder: string, options: ResolveOptions): Promise<string> {
  options.logger?.info(`converting ${path} to the model folder ${folder}`);
  const { parameters } = await convertCheckpoint(path, folder, options);
  options.logger?.info(`converted ${parameters.toLocaleString('en')} parameters`);
  return folder;
}

/** Whether a folder is there, complete, and made from the checkpoint as it is now. */
async function isCurrent(path: string, folder: string, options: ResolveOptions): Promise<boolean> {
  const model = tryOpen(folder);
  if (model === undefined || !sameOverrides(model, options.modelOverrides ?? {})) return false;
  const now = await fileStamp(path);
  const { source } = model;
  if (now.byteLength === source.byteLength) {
    if (now.modifiedMs === source.modifiedMs) return true;
    if ((await fileSha256(path, options)) === source.sha256) {
      await rememberTime(model, now.modifiedMs);
      return true;
    }
  }
  options.logger?.info(`${path} has changed since ${folder} was made`);
  return false;
}

/** Notes the new time of an unchanged checkpoint, so that it need not be read again. */
async function rememberTime(model: ModelFolder, modifiedMs: number): Promise<void> {
  const config = newConfig({ ...model, source: { ...model.source, modifiedMs } });
  // Where the folder cannot be written, the next use reads the checkpoint once more; nothing else is lost.
  await writeFileAtomic(join(model.folder, folderLayout.configFile), formatConfig(config)).catch(
    () => undefined,
  );
}
