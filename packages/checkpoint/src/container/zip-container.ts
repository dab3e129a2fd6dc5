import type { RandomAccessFile } from '@knn-lm/common';
import { CheckpointError } from '../errors.js';
import { unpickle } from '../pickle/unpickle.js';
import type { StorageExtent, TorchContainer } from './container.js';
import { checkCrc32, readZipDirectory, type ZipEntry } from './zip-directory.js';

/**
 * Opens a file of torch 1.6 and later: a zip archive with `NAME/data.pkl`, and each storage as `NAME/data/KEY`
 * (torch/serialization.py, `_save`).
 *
 * @param file - the open file
 * @throws {@link CheckpointError}
 */
export function openZip(file: RandomAccessFile): TorchContainer {
  const entries = readZipDirectory(file);
  const pickle = [...entries.values()].find((entry) => /^[^/]*\/data\.pkl$/.test(entry.name));
  if (pickle === undefined) {
    throw new CheckpointError(
      'CHECKPOINT_NOT_TORCH',
      `${file.path}: a zip archive without data.pkl, so not a file that torch.save wrote`,
      {
        hint: 'Give the model.pt (or checkpoint_best.pt) that fairseq-train wrote.',
        details: { path: file.path },
      },
    );
  }
  const prefix = pickle.name.slice(0, -'data.pkl'.length);
  refuseBigEndian(file, entries.get(`${prefix}byteorder`));
  checkCrc32(file, pickle, 'data.pkl');
  const { value } = unpickle(file, pickle.byteOffset, pickle.byteOffset + pickle.byteLength);
  const storages = new Map<string, StorageExtent>();
  for (const entry of entries.values()) {
    if (entry.name.startsWith(`${prefix}data/`)) storages.set(entry.name.slice(prefix.length + 5), entry);
  }
  return { format: 'zip', file, root: value, storages };
}

/** torch 2.1 and later record the byte order of the machine; before, it was little-endian as good as always. */
function refuseBigEndian(file: RandomAccessFile, entry: ZipEntry | undefined): void {
  if (entry === undefined || entry.byteLength > 16) return;
  const order = Buffer.from(file.readBytes(entry.byteOffset, entry.byteLength)).toString('latin1');
  if (order === 'little') return;
  throw bigEndian(file.path, order);
}

/** The error for a checkpoint of a machine with the other byte order. */
export function bigEndian(path: string, order: string): CheckpointError {
  return new CheckpointError(
    'CHECKPOINT_BYTE_ORDER',
    `${path}: written with byte order '${order}', but 'little' is expected`,
    { hint: 'Load and save the checkpoint with torch on an x86 or ARM machine.', details: { path, order } },
  );
}
