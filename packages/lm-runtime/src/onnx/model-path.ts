import { stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Where Optimum and the exporters of transformers.js put a model. */
const names = ['model.onnx', 'decoder_model_merged.onnx', 'decoder_model.onnx'];
const namesInFolder = [...names, ...names.map((name) => join('onnx', name))];

/**
 * The `.onnx` file that a path means: the file itself, or `model.onnx` of a folder.
 *
 * @returns its path, or `undefined` where the path is no ONNX model
 */
export async function findOnnxFile(path: string): Promise<string | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || found.isFile()) return /\.onnx$/i.test(path) ? path : undefined;
  for (const name of namesInFolder) {
    const inside = join(path, name);
    if ((await stat(inside).catch(() => undefined))?.isFile()) return inside;
  }
  return undefined;
}
