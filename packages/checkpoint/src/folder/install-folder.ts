import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { temporaryName } from '@knn-lm/common';
import { CheckpointError } from '../errors.js';
import { folderLayout } from './layout.js';

/** Two processes that replace the same folder get in each other's way once or twice, not more. */
const ATTEMPTS = 20;
/** A temporary folder this old belongs to a process that was killed. */
const STALE_MS = 24 * 60 * 60 * 1000;

/** Tells one state of a folder from another: changes whenever the folder is made anew. `undefined` where there is none. */
export async function folderStamp(folder: string): Promise<string | undefined> {
  const found = await stat(join(folder, folderLayout.configFile)).catch(() => undefined);
  return found && `${found.ino}:${found.mtimeMs}:${found.size}`;
}

/**
 * Refuses a folder that holds something else.
 *
 * @throws {@link CheckpointError} `MODEL_FOLDER_EXISTS`
 */
export async function refuseForeignFolder(folder: string): Promise<void> {
  const content = await readdir(folder).catch((error: NodeJS.ErrnoException) =>
    error.code === 'ENOTDIR' ? ['(a file)'] : [],
  );
  if (content.length === 0 || content.includes(folderLayout.configFile)) return;
  throw new CheckpointError(
    'MODEL_FOLDER_EXISTS',
    `${folder}: exists and is no model folder (it holds ${content[0]})`,
    {
      hint: 'Choose another folder for the converted model.',
      details: { folder },
    },
  );
}

/**
 * Gives a complete temporary folder its final name, in place of what is there. When another process was faster and its
 * folder will do, that one is kept.
 *
 * @param temporary - the complete folder, in the same parent
 * @param folder - its final name
 * @param isGood - whether the folder that is there now was made meanwhile and serves as well
 */
export async function installFolder(
  temporary: string,
  folder: string,
  isGood: () => Promise<boolean>,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    if (await isGood()) {
      await rm(temporary, { recursive: true, force: true });
      return;
    }
    const old = temporaryName(folder);
    await rename(folder, old).catch(ignoreMissing);
    try {
      await rename(temporary, folder);
    } catch (error) {
      // Another process put its folder there between the two renames; or something is wrong, and the old one returns.
      const { code } = error as NodeJS.ErrnoException;
      const isTaken = code === 'ENOTEMPTY' || code === 'EEXIST';
      if (!isTaken || attempt === ATTEMPTS) {
        await rename(old, folder).catch(() => undefined);
        throw error;
      }
      await rm(old, { recursive: true, force: true });
      continue;
    }
    await rm(old, { recursive: true, force: true });
    return;
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

/** Removes temporary folders of the same name that killed processes left behind. */
export async function removeStale(folder: string): Promise<void> {
  const parent = dirname(folder);
  const prefix = `.${basename(folder)}.`;
  const names = await readdir(parent).catch(() => []);
  for (const name of names.filter((each) => each.startsWith(prefix) && each.endsWith('.tmp'))) {
    const path = join(parent, name);
    const found = await stat(path).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > STALE_MS) await rm(path, { recursive: true, force: true });
  }
}
