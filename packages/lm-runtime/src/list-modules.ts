import { stat } from 'node:fs/promises';
import { describeFileError } from '@knn-lm/common';
import { listModules as listModulesOf, openCheckpoint, openModelFolder } from '@knn-lm/checkpoint';

/**
 * Paths of the modules whose output can be captured, indices from the front.
 *
 * @param path - model folder or checkpoint; a checkpoint is not converted
 * @example
 * ```ts
 * await listModules('model.pt'); // ['embed_tokens', 'embed_positions', 'layers[0].self_attn_layer_norm', ...]
 * ```
 */
export async function listModules(path: string): Promise<string[]> {
  let isFolder: boolean;
  try {
    isFolder = (await stat(path)).isDirectory();
  } catch (cause) {
    throw describeFileError(cause, path, 'open the model');
  }
  if (isFolder) return listModulesOf(openModelFolder(path).architecture);
  const checkpoint = await openCheckpoint(path);
  try {
    return listModulesOf(checkpoint.config);
  } finally {
    checkpoint.close();
  }
}
