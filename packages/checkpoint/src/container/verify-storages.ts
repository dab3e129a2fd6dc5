import { setImmediate } from 'node:timers/promises';
import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import type { TorchContainer } from './container.js';
import type { StoredTensor } from './stored-tensor.js';
import { checkCrc32 } from './zip-directory.js';

/**
 * Compares the bytes of the storages that tensors use with their checksums, each storage once.
 *
 * @param container - the open file
 * @param tensors - the tensors
 * @param task - cancellation and progress, between two storages
 * @throws {@link CheckpointError} `CHECKPOINT_CHECKSUM`
 */
export async function verifyStorages(
  container: TorchContainer,
  tensors: readonly StoredTensor[],
  { signal, onProgress }: TaskOptions,
): Promise<void> {
  const storages = new Map(tensors.map((tensor) => [tensor.storageKey, tensor]));
  const total = [...storages.values()].reduce((sum, { storage }) => sum + storage.byteLength, 0);
  let done = 0;
  for (const [key, { name, storage }] of storages) {
    throwIfAborted(signal);
    checkCrc32(container.file, storage, `${name} (storage ${key})`);
    done += storage.byteLength;
    onProgress?.({ stage: 'verify', done, total, unit: 'bytes' });
    await setImmediate(); // checksums are computed in this thread; others get their turn in between
  }
}
