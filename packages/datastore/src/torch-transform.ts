import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '@knn-lm/common';
import { asBytes } from './content.js';
import { DatastoreError, describeReadError } from './error.js';
import { KeyTransform } from './key-transform.js';
import { readTorchArchive, torchArchive } from './torch-archive.js';

/** Name under which the Python tools keep a PCA: a state dict of `weight` and `bias`, by `torch.save`. */
export const torchTransformName = 'transform.pt';

/** As for `transform.msgpack`. */
const maxBytes = 2 ** 31;

/** Writes a transform for the Python tools too. */
export async function saveTorchTransform(folder: string, transform: KeyTransform): Promise<void> {
  const { weight, bias, inputDimension, outputDimension } = transform;
  const archive = torchArchive([
    { name: 'weight', shape: [outputDimension, inputDimension], data: asBytes(weight) },
    { name: 'bias', shape: [outputDimension], data: asBytes(bias) },
  ]);
  await writeFileAtomic(join(folder, torchTransformName), archive);
}

/**
 * Reads the transform of a datastore that the Python tools reduced by PCA.
 *
 * @returns `undefined` when there is none
 * @throws {@link DatastoreError} `DATASTORE_BAD_TRANSFORM` (a trained network, PCKMT, among others), `DATASTORE_FILE_…`
 */
export async function loadTorchTransform(folder: string): Promise<KeyTransform | undefined> {
  const path = join(folder, torchTransformName);
  let bytes: Uint8Array;
  try {
    const { size } = await stat(path);
    if (size > maxBytes) throw notPca(path, `it has ${size} bytes`);
    bytes = await readFile(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw describeReadError(cause, path, "read the datastore's transform");
  }
  try {
    const { description, storages } = readTorchArchive(bytes);
    const [weight, bias] = ['weight', 'bias'].map((name) => description.indexOf(name));
    const isPca =
      storages.length === 2 && weight >= 0 && bias > weight && description.includes('FloatStorage');
    if (!isPca) throw new RangeError('it does not hold the weight and the bias of a PCA');
    const [weights, biases] = storages.map(float32Of);
    const inputDimension = weights.length / biases.length;
    return new KeyTransform({ weight: weights, bias: biases, inputDimension });
  } catch (cause) {
    throw notPca(path, (cause as Error).message, cause);
  }
}

/** A copy, which is aligned. */
function float32Of(bytes: Uint8Array): Float32Array {
  const elements = new Float32Array(Math.floor(bytes.length / 4));
  asBytes(elements).set(bytes.subarray(0, elements.byteLength));
  return elements;
}

function notPca(path: string, reason: string, cause?: unknown): DatastoreError {
  return new DatastoreError('DATASTORE_BAD_TRANSFORM', `${path} cannot be used: ${reason}`, {
    hint: 'Only a PCA can be applied to queries; restore the file from a copy, or reduce the datastore again.',
    details: { path },
    cause,
  });
}
