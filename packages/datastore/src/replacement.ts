import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readManifest, syncFolder, writeManifest } from './manifest.js';
import { transformName } from './key-transform.js';
import { datastorePaths, keysName, valuesName, weightsName } from './layout.js';
import { torchTransformName } from './torch-transform.js';

/*
 * Overwriting keeps the old datastore whole until the new one is: the new one is written into a folder inside the old
 * one's (the same file system, so that it can be moved in by renames) and moved in by `finish()`. Three files cannot
 * be renamed at once, so the order is: (1) the manifest of the old one is replaced by one that says `replacing`, so
 * that nobody reads a mixture; (2) the arrays, the weights and the transform; (3) the new manifest, which ends the replacement. A crash in between
 * leaves `replacing`, and the next writer finishes the moves. Whoever has the old arrays mapped keeps them.
 */

/** Where the replacement of a datastore is written until it is complete. */
export function replacementFolder(folder: string): string {
  return join(folder, 'datastore.replacement');
}

/** Removes what an earlier replacement that is not wanted any more has left. */
export async function discardReplacement(folder: string): Promise<void> {
  await rm(replacementFolder(folder), { recursive: true, force: true });
}

/** Moves a finished replacement in. Safe to repeat after a crash at any point. */
export async function moveReplacementIn(folder: string): Promise<void> {
  const source = replacementFolder(folder);
  const finished = await readManifest(source);
  if (finished !== undefined) {
    await writeManifest(folder, { ...finished, finished: false, replacing: true });
    const from = datastorePaths(source);
    const to = datastorePaths(folder);
    await moveOrRemove(source, folder, [keysName, valuesName], finished.parts === undefined);
    await moveOrRemove(source, folder, [weightsName], finished.weights !== undefined);
    const isReduced = finished.identity['transformFingerprint'] !== undefined;
    await moveOrRemove(source, folder, [transformName, torchTransformName], isReduced);
    await syncFolder(folder);
    await rename(from.manifest, to.manifest);
    await syncFolder(folder);
  }
  await discardReplacement(folder);
}

/** What the new datastore does not have is not left from the old one. */
async function moveOrRemove(
  source: string,
  folder: string,
  names: readonly string[],
  isThere: boolean,
): Promise<void> {
  for (const name of names) {
    if (isThere) await renameIfThere(join(source, name), join(folder, name));
    else await rm(join(folder, name), { force: true });
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  await rename(from, to).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}

/** Ends a replacement that a crash interrupted while it was moved in, and removes what is left of one that was. */
export async function resumeMove(folder: string): Promise<void> {
  const manifest = await readManifest(folder);
  if (manifest?.replacing) await moveReplacementIn(folder);
  else if (!existsSync(datastorePaths(replacementFolder(folder)).manifest)) await discardReplacement(folder);
}
