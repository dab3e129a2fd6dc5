import { createHash, type Hash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { RandomAccessFile } from '@knn-lm/common';
import { LmRuntimeError } from '../errors.js';
import type { OnnxFile } from './onnx-file.js';

/** Of files with weights, this many blocks, evenly spaced, stand for the whole: reading 10 GB would take a while. */
const sampledBlocks = 64;
const blockBytes = 2 ** 16;

/**
 * SHA-256 (hex) of a model: the whole `.onnx` file, and of each file of external data its size and 4 MB of its content.
 *
 * @param file - the model
 * @param folder - where its external data lies
 * @throws LmRuntimeError `ONNX_DATA_MISSING`
 */
export function onnxFingerprint(file: OnnxFile, folder: string): string {
  const hash = createHash('sha256').update(file.bytes);
  const locations = new Set(file.initializers.flatMap(({ location }) => location ?? []));
  for (const location of [...locations].sort()) hashSamples(hash, location, dataFile(file, folder, location));
  return hash.digest('hex');
}

function dataFile({ path }: OnnxFile, folder: string, location: string): string {
  const found = join(folder, location);
  if (existsSync(found)) return found;
  throw new LmRuntimeError(
    'ONNX_DATA_MISSING',
    `${path}: its weights are in ${location}, which is not beside it`,
    {
      hint: `Copy ${basename(location)} into ${folder}.`,
      details: { path, location },
    },
  );
}

function hashSamples(hash: Hash, location: string, path: string): void {
  const file = new RandomAccessFile(path, 'read the weights');
  try {
    hash.update(`\n${location} ${file.size}\n`);
    const last = Math.max(0, file.size - blockBytes);
    for (let i = 0; i < sampledBlocks; i++) {
      const start = Math.floor((last * i) / (sampledBlocks - 1));
      hash.update(file.readBytes(start, Math.min(blockBytes, file.size - start)));
      if (last === 0) break;
    }
  } finally {
    file.close();
  }
}
