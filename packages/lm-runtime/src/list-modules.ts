import { stat } from 'node:fs/promises';
import { describeFileError } from '@knn-lm/common';
import { listModules as listModulesOf, openCheckpoint, openModelFolder } from '@knn-lm/checkpoint';
import { findOnnxFile } from './onnx/model-path.js';
import { listOnnxModules } from './onnx/onnx-source.js';

/**
 * Paths of the modules whose output can be captured, indices from the front.
 *
 * @param path - model folder, checkpoint (which is not converted), or `.onnx` file
 * @example
 * ```ts
 * await listModules('model.pt'); // ['embed_tokens', 'embed_positions', 'layers[0].self_attn_layer_norm', ...]
 * ```
 */
export async function listModules(path: string): Promise<string[]> {
  const onnxFile = await findOnnxFile(path);
  if (onnxFile !== undefined) return listOnnxModules(onnxFile);
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
