import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfAborted, writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import { asBytes } from './content.js';
import { DatastoreError } from './error.js';
import { weightsName } from './layout.js';

/**
 * Writes `weight.npy`, whole or not at all.
 *
 * @param folder - where
 * @param rows - weights there must be
 * @param weights - in order; chunks may be reused
 * @returns SHA-256 of the file as 64 hexadecimal digits
 */
export async function saveWeights(
  folder: string,
  rows: number,
  weights: Iterable<Float32Array>,
  { signal, onProgress }: TaskOptions,
): Promise<string> {
  const hash = createHash('sha256');
  const path = join(folder, weightsName);
  let done = 0;
  await writeFileAtomic(path, async (file) => {
    for (const chunk of weights) {
      throwIfAborted(signal, 'stopped while weights were written');
      const bytes = asBytes(chunk);
      hash.update(bytes);
      await file.writeFile(bytes);
      done += chunk.length;
      onProgress?.({ stage: 'weights', done, total: rows, unit: 'entries' });
    }
    if (done === rows) return;
    throw new DatastoreError('DATASTORE_BAD_WEIGHT', `${done} weights were given for ${rows} entries`, {
      hint: 'Give one weight for each entry.',
      details: { path, found: done, expected: rows },
    });
  });
  return hash.digest('hex');
}

/** Removes weights that are not those of the datastore in a folder. */
export async function removeWeights(folder: string): Promise<void> {
  await rm(join(folder, weightsName), { force: true });
}
