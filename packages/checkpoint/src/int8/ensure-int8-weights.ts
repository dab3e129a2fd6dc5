import { Buffer } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { RandomAccessFile, throwIfAborted, writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import { CheckpointError } from '../errors.js';
import type { ModelFolder } from '../weights.js';
import {
  int8HeaderBytes,
  int8Layout,
  int8Version,
  int8WeightsFile,
  type QuantizedLinear,
} from './quantized-linears.js';
import { quantizeMatrix, type QuantizedMatrix } from './quantize-matrix.js';

/** What is quantized, and where the file goes. */
export type Int8Source = Pick<
  ModelFolder,
  'folder' | 'architecture' | 'weightsFile' | 'weights' | 'fingerprint'
>;

/**
 * Makes sure that a model folder holds the 8-bit form of its linear layers (`weights.int8.bin`), a quarter of their size
 * in single precision. One layer is in memory at a time.
 *
 * @param folder - an open model folder
 * @param task - cancellation, progress (bytes), messages
 * @returns path of the file
 * @throws {@link CheckpointError} `INT8_NOT_WRITTEN` where the folder cannot be written, `INT8_NOT_FINITE`
 * @throws `CancelledError`
 */
export async function ensureInt8Weights(folder: Int8Source, task: TaskOptions = {}): Promise<string> {
  const path = join(folder.folder, int8WeightsFile);
  if (await hasInt8Weights(folder)) return path;
  const header = headerOf(folder.fingerprint);
  task.logger?.info(`quantizing the linear layers to 8 bits: ${path}`);
  try {
    await writeFileAtomic(path, (file) => writeLinears(file, folder, header, task));
  } catch (cause) {
    throw notWritten(path, cause);
  }
  return path;
}

/** Whether a model folder holds the complete 8-bit form of its own linear layers. */
export function hasInt8Weights(folder: Int8Source): Promise<boolean> {
  const { byteLength } = int8Layout(folder.architecture);
  return isComplete(join(folder.folder, int8WeightsFile), headerOf(folder.fingerprint), byteLength);
}

function headerOf(fingerprint: string): Buffer {
  return Buffer.from(`knn-lm int8 weights ${int8Version} ${fingerprint}\n`.padEnd(int8HeaderBytes));
}

async function isComplete(path: string, header: Buffer, byteLength: number): Promise<boolean> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return false;
  try {
    const found = Buffer.alloc(int8HeaderBytes);
    await file.read(found, 0, int8HeaderBytes, 0);
    return found.equals(header) && (await file.stat()).size === byteLength;
  } finally {
    await file.close();
  }
}

async function writeLinears(
  file: FileHandle,
  folder: Int8Source,
  header: Buffer,
  { signal, onProgress }: TaskOptions,
): Promise<void> {
  const { linears, byteLength: total } = int8Layout(folder.architecture);
  const source = new RandomAccessFile(join(folder.folder, folder.weightsFile), 'read the weights');
  try {
    await writeAll(file, header, 0);
    for (const linear of linears) {
      throwIfAborted(signal, 'stopped while the model was quantized; nothing is kept');
      const { weight, scale } = quantizeLinear(source, folder, linear);
      await writeAll(file, bytesOf(weight), linear.weightOffset);
      await writeAll(file, bytesOf(scale), linear.scaleOffset);
      onProgress?.({ stage: 'int8', done: linear.scaleOffset + scale.byteLength, total, unit: 'bytes' });
    }
  } finally {
    source.close();
  }
}

function quantizeLinear(
  source: RandomAccessFile,
  { weights, folder }: Int8Source,
  { module, inputs, outputs }: QuantizedLinear,
): QuantizedMatrix {
  const entry = weights.get(`${module}.weight`);
  if (entry === undefined || entry.shape.join() !== `${outputs},${inputs}`) {
    throw new CheckpointError('MODEL_FOLDER_INCOMPLETE', `${folder}: has no tensor ${module}.weight`, {
      hint: 'Remove the folder and convert the checkpoint again.',
      details: { tensor: `${module}.weight` },
    });
  }
  const rows = quantizeMatrix(outputs, inputs, (start, count) => {
    const elements = new Float32Array(count * inputs);
    source.read(new Uint8Array(elements.buffer), entry.byteOffset + 4 * start * inputs);
    return elements;
  });
  if (!rows.scale.every(Number.isFinite)) {
    throw new CheckpointError('INT8_NOT_FINITE', `${module}.weight holds infinite numbers or NaN`, {
      hint: 'Such a model cannot be rounded to 8 bits; leave --precision int8 out.',
      details: { tensor: `${module}.weight` },
    });
  }
  return rows;
}

function bytesOf(array: Int8Array | Float32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** Only failures of the file system are about the folder. */
function notWritten(path: string, cause: unknown): unknown {
  const systemCode = (cause as NodeJS.ErrnoException).code;
  if (cause instanceof CheckpointError || typeof systemCode !== 'string' || !/^E[A-Z]+$/.test(systemCode)) {
    return cause;
  }
  return new CheckpointError('INT8_NOT_WRITTEN', `cannot write the 8-bit weights ${path}: ${systemCode}`, {
    hint: '--precision int8 keeps a second weights file in the model folder. Use a folder that can be written: give the checkpoint and --model-cache FOLDER.',
    details: { path },
    cause,
  });
}
