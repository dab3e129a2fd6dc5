import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '@knn-lm/common';
import { CheckpointError } from '../errors.js';
import type { StoredTensor } from '../onnx/graph-builder.js';
import type { ModelFolder } from '../weights.js';
import { int8Tensors } from '../int8/quantized-linears.js';
import { buildGraph, type GraphPurpose, type GraphRequest, type KeysDtype } from './build-graph.js';
import { defaultModule, findModule } from './modules.js';

/** What a graph is built from, and where it goes. */
export type GraphFolder = Pick<ModelFolder, 'folder' | 'architecture' | 'weightsFile' | 'weights'>;

/** Precision of the hidden states where none is asked for: keys as they are stored, queries as they are computed. */
const naturalDtype: Record<GraphPurpose, KeysDtype> = { keys: 'fp16', score: 'fp32', step: 'fp32' };

/**
 * Makes sure that the graph for a purpose and a captured module lies in the model folder, and is the one that this
 * version builds. Graph files are small (100 KB for 16 layers); all of them share the folder's weights.
 *
 * @param folder - an open model folder
 * @param purpose - `keys` for hidden states only, `score` for target log-probabilities too, `step` for generation
 * @param module - path of the captured module, such as `layers[-1].final_layer_norm`
 * @param keysDtype - precision of the hidden states; fp16 for `keys` and fp32 otherwise when left out
 * @returns path of the `.onnx` file
 * @throws {@link CheckpointError} `MODULE_UNKNOWN`, `MODEL_FOLDER_INCOMPLETE`, `GRAPH_NOT_WRITTEN`
 */
export async function ensureGraph(
  folder: GraphFolder,
  purpose: GraphPurpose,
  module: string,
  keysDtype: KeysDtype = naturalDtype[purpose],
): Promise<string> {
  const { architecture } = folder;
  const { path: modulePath } = findModule(architecture, module);
  const bytes = graphBytes(folder, { purpose, module, keysDtype });
  const isDefault =
    modulePath === findModule(architecture, defaultModule).path && keysDtype === naturalDtype[purpose];
  const path = join(folder.folder, `${purpose}${isDefault ? '' : `.${modulePath}.${keysDtype}`}.onnx`);
  const existing = await readFile(path).catch(() => undefined);
  if (existing === undefined || !existing.equals(bytes)) await writeGraph(path, bytes);
  return path;
}

/**
 * The graph for a purpose, a captured module and a precision, in memory. Its weights are external data in the model
 * folder, so that whoever loads it tells ONNX Runtime where that is (`model_external_initializers_file_folder_path`).
 * Nothing is written: it works in a folder that is read-only.
 *
 * @param folder - an open model folder
 * @param request - what is wanted; `int8` needs the file that {@link ensureInt8Weights} writes
 * @returns the bytes of an `.onnx` file
 * @throws {@link CheckpointError} `MODULE_UNKNOWN`, `MODEL_FOLDER_INCOMPLETE`
 */
export function graphBytes(folder: GraphFolder, request: GraphRequest): Uint8Array {
  const weights = storedTensors(folder);
  if (request.precision === 'int8') {
    for (const [name, tensor] of int8Tensors(folder.architecture)) weights.set(name, tensor);
  }
  return buildGraph(folder.architecture, weights, request);
}

async function writeGraph(path: string, bytes: Uint8Array): Promise<void> {
  try {
    await writeFileAtomic(path, bytes);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError('GRAPH_NOT_WRITTEN', `cannot write the graph ${path}: ${reason}`, {
      hint: 'A new captured module needs a small file in the model folder: use a folder that can be written.',
      details: { path },
      cause,
    });
  }
}

function storedTensors(folder: GraphFolder): Map<string, StoredTensor> {
  const location = folder.weightsFile;
  return new Map(
    [...folder.weights].map(([name, { shape, byteOffset, byteLength }]) => [
      name,
      { shape, type: 'float32', data: { location, byteOffset, byteLength } },
    ]),
  );
}
