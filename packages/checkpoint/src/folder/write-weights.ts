import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { elementCount } from '../container/stored-tensor.js';
import { CheckpointError } from '../errors.js';
import type { Checkpoint, CheckpointTensor, WeightEntry } from '../weights.js';
import { folderLayout } from './layout.js';

/** Bytes of float32 in memory at a time, or one row where that is longer. */
const CHUNK_BYTES = 4 * 2 ** 20;

/**
 * Writes all tensors of a checkpoint to one file as float32, tied ones once. At most a few chunks of 4 MiB are in memory.
 *
 * @param path - the new file
 * @param checkpoint - the open checkpoint
 * @param task - cancellation and progress
 * @returns where each tensor lies
 * @throws {@link CheckpointError} `CHECKPOINT_TIED` when tensors that the architecture ties have different elements
 */
export async function writeWeights(
  path: string,
  checkpoint: Checkpoint,
  task: TaskOptions,
): Promise<Map<string, WeightEntry>> {
  const file = await open(path, 'wx');
  try {
    const writer = new WeightsWriter(file, totalBytes(checkpoint), task);
    const entries = new Map<string, WeightEntry>();
    for (const tensor of checkpoint.tensors.values()) {
      const owner = tensor.tiedTo === undefined ? undefined : entries.get(tensor.tiedTo);
      if (owner === undefined) entries.set(tensor.name, await writer.add(tensor.shape, chunks(tensor)));
      else entries.set(tensor.name, checkTied(checkpoint, tensor, owner, task));
    }
    await file.sync();
    return entries;
  } finally {
    await file.close();
  }
}

function totalBytes(checkpoint: Checkpoint): number {
  const own = [...checkpoint.tensors.values()].filter((tensor) => tensor.tiedTo === undefined);
  return own.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
}

/** The rows of a tensor in pieces. */
function* chunks(tensor: CheckpointTensor): Generator<Float32Array> {
  const rows = tensor.shape[0] ?? 1;
  const rowBytes = 4 * elementCount(tensor.shape.slice(1));
  const rowsAtOnce = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes));
  for (let row = 0; row < rows; row += rowsAtOnce) {
    yield tensor.readFloat32(row, Math.min(rowsAtOnce, rows - row));
  }
}

/** Tensors tied by the architecture need not share their memory in the file, but must be equal to be stored once. */
function checkTied(
  checkpoint: Checkpoint,
  tensor: CheckpointTensor,
  owner: WeightEntry,
  { signal }: TaskOptions,
): WeightEntry {
  const hash = createHash('sha256');
  for (const chunk of chunks(tensor)) {
    throwIfAborted(signal);
    hash.update(bytesOf(chunk));
  }
  if (hash.digest('hex') === owner.sha256) return owner;
  throw new CheckpointError(
    'CHECKPOINT_TIED',
    `${checkpoint.path}: ${tensor.name} and ${tensor.tiedTo} have different elements, but the settings tie them`,
    {
      hint: 'The checkpoint is damaged, or its settings are not those it was trained with.',
      details: { path: checkpoint.path, tensor: tensor.name },
    },
  );
}

function bytesOf(elements: Float32Array): Uint8Array {
  return new Uint8Array(elements.buffer, elements.byteOffset, elements.byteLength);
}

/** Appends tensors to a file, each at an aligned offset. */
class WeightsWriter {
  readonly #file: FileHandle;
  readonly #total: number;
  readonly #task: TaskOptions;
  #end = 0;
  #done = 0;

  constructor(file: FileHandle, total: number, task: TaskOptions) {
    this.#file = file;
    this.#total = total;
    this.#task = task;
  }

  async add(shape: readonly number[], pieces: Iterable<Float32Array>): Promise<WeightEntry> {
    const { signal, onProgress } = this.#task;
    const byteOffset = Math.ceil(this.#end / folderLayout.alignment) * folderLayout.alignment;
    await this.#write(new Uint8Array(byteOffset - this.#end));
    const hash = createHash('sha256');
    for (const piece of pieces) {
      throwIfAborted(signal, 'the conversion was stopped; nothing is kept');
      const bytes = bytesOf(piece);
      hash.update(bytes);
      await this.#write(bytes);
      this.#done += bytes.length;
      onProgress?.({ stage: 'weights', done: this.#done, total: this.#total, unit: 'bytes' });
    }
    const byteLength = this.#end - byteOffset;
    if (byteLength !== 4 * elementCount(shape)) {
      throw new TypeError(`a tensor of shape [${shape.join(', ')}] has ${byteLength} bytes`);
    }
    return { shape, byteOffset, byteLength, sha256: hash.digest('hex') };
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += (await this.#file.write(bytes, done, bytes.length - done)).bytesWritten;
    }
    this.#end += bytes.length;
  }
}
