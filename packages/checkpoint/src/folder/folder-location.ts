import { createHash } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { ModelOverrides } from '../config/model-settings.js';
import { canonicalJson } from './fingerprint.js';

/** Ends the name of a model folder. */
export const modelFolderSuffix = '.knn-lm';

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12);
}

/** `model.pt`, followed by a hash of the overrides where there are some. */
function nameFor(path: string, overrides: ModelOverrides): string {
  const name = basename(path);
  return Object.keys(overrides).length === 0 ? name : `${name}.${shortHash(canonicalJson(overrides))}`;
}

/** The folder beside a checkpoint: `model.pt.knn-lm`. */
export function folderBeside(path: string, overrides: ModelOverrides): string {
  return join(dirname(path), `${nameFor(path, overrides)}${modelFolderSuffix}`);
}

/**
 * The cache.
 *
 * @param given - the user's when left out (`$XDG_CACHE_HOME/knn-lm/models` or `~/.cache/knn-lm/models`, XDG Base Directory
 * Specification)
 */
export function cacheFolder(given: string | undefined): string {
  return given ?? join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'knn-lm', 'models');
}

/**
 * The folder in a cache: the checkpoint's name, and a hash of where it lies, for there are many called `model.pt`.
 *
 * @param path - the checkpoint
 * @param cache - the cache folder; the user's when left out
 */
export async function folderInCache(
  path: string,
  overrides: ModelOverrides,
  cache: string | undefined,
): Promise<string> {
  return join(
    cacheFolder(cache),
    `${nameFor(path, overrides)}.${shortHash(await realpath(path))}${modelFolderSuffix}`,
  );
}

/** Whether a folder is meant to be written to: root may write anywhere, but a folder without write permission is no place. */
export async function isMeantForWriting(folder: string): Promise<boolean> {
  const { mode } = await stat(folder);
  return (mode & 0o222) !== 0;
}
