import { RandomAccessFile, describeFileError, KnnLmError } from '@knn-lm/common';
import { CheckpointError } from '../errors.js';
import type { TorchContainer } from './container.js';
import { openLegacy } from './legacy-container.js';
import { openZip } from './zip-container.js';

/** What else people give as a checkpoint, by how it begins. */
const lookalikes: [start: string, what: string, hint: string][] = [
  ['BZh', 'a bzip2 archive', 'Unpack it (tar -xjf FILE) and give the model.pt inside.'],
  ['\x1f\x8b', 'a gzip archive', 'Unpack it (tar -xzf FILE) and give the model.pt inside.'],
  ['version https://git-lfs', 'a Git LFS pointer', 'Fetch the file itself with git lfs pull.'],
  ['<', 'a web page', 'The download went wrong; download the checkpoint again.'],
  ['\x93NUMPY', 'a NumPy array', 'Give the model.pt that fairseq-train wrote.'],
];

/**
 * Opens a file that `torch.save` wrote, in either format, and unpickles the object in it without executing anything.
 *
 * @param path - the file
 * @throws {@link CheckpointError}
 */
export function openContainer(path: string): TorchContainer {
  const file = openFile(path);
  try {
    return readContainer(file);
  } catch (error) {
    file.close();
    throw asCheckpointError(error);
  }
}

function openFile(path: string): RandomAccessFile {
  try {
    return new RandomAccessFile(path, 'read the checkpoint');
  } catch (error) {
    throw asCheckpointError(describeFileError(error, path, 'read the checkpoint'));
  }
}

/** Gives errors of the file layer this package's class; others stay as they are. */
export function asCheckpointError(error: unknown): unknown {
  if (!(error instanceof KnnLmError) || !error.code.startsWith('FILE_')) return error;
  const { message, code, hint, details, cause } = error;
  return new CheckpointError(code, message, { ...(hint === undefined ? {} : { hint }), details, cause });
}

function readContainer(file: RandomAccessFile): TorchContainer {
  const { path, size } = file;
  if (size === 0) {
    throw new CheckpointError('CHECKPOINT_EMPTY', `${path}: the file is empty (0 bytes)`, {
      hint: 'Copy or download the checkpoint again.',
      details: { path, size },
    });
  }
  const start = Buffer.from(file.readBytes(0, Math.min(size, 512))).toString('latin1');
  if (start.startsWith('PK\x03\x04')) return openZip(file);
  if (start.startsWith('\x80')) return openLegacy(file);
  const tar = start.slice(257, 262) === 'ustar';
  const [, what, hint] = tar
    ? ['', 'a tar archive', 'Unpack it (tar -xf FILE) and give the model.pt inside.']
    : (lookalikes.find(([prefix]) => start.startsWith(prefix)) ?? [
        '',
        'neither a zip archive nor a pickle',
        'Give the model.pt (or checkpoint_best.pt) that fairseq-train wrote.',
      ]);
  throw new CheckpointError(
    'CHECKPOINT_NOT_TORCH',
    `${path}: not a checkpoint: it begins with ${JSON.stringify(start.slice(0, 12))} (${what})`,
    { hint, details: { path, size } },
  );
}
