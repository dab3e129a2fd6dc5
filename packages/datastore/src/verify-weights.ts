import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { RandomAccessFile, throwIfAborted, type TaskOptions } from '@knn-lm/common';
import { asBytes } from './content.js';
import { weightsName } from './layout.js';
import type { ProblemList } from './problems.js';

/** Weights read at a time. */
const chunkRows = 1 << 16;

/** What there is about the weights of a datastore. */
export interface WeightsReport {
  /** Smallest weight. */
  readonly min: number;
  /** Largest weight. */
  readonly max: number;
  /** Sum of all: how many entries of the first datastore they stand for. */
  readonly sum: number;
  /** Whether the manifest has their checksum. */
  readonly checksummed: boolean;
}

/**
 * Checks `weight.npy`: one finite weight of 0 or more for each row, and its checksum where the manifest has one.
 *
 * @param digest - the manifest's; weights without one were put there by another program
 * @returns `undefined` where there are no weights, or none that can be read
 */
export function verifyWeights(
  folder: string,
  rows: number,
  digest: string | undefined,
  problems: ProblemList,
  { signal }: TaskOptions,
): WeightsReport | undefined {
  const path = join(folder, weightsName);
  const add = (message: string, row?: number) =>
    problems.add({ kind: 'weights', path, message, ...(row === undefined ? {} : { row }) });
  if (!existsSync(path)) {
    if (digest !== undefined) add(`${path} is missing`);
    return undefined;
  }
  const file = new RandomAccessFile(path, 'verify the weights');
  try {
    if (file.size !== rows * 4) {
      add(
        `${path} has ${file.size} bytes, which is ${file.size / 4} weights; the datastore has ${rows} entries`,
      );
      return undefined;
    }
    const hash = createHash('sha256');
    let [min, max, sum] = [Infinity, -Infinity, 0];
    for (let row = 0; row < rows; row += chunkRows) {
      throwIfAborted(signal, 'stopped while the weights were verified');
      const weights = new Float32Array(Math.min(chunkRows, rows - row));
      file.read(asBytes(weights), row * 4);
      hash.update(asBytes(weights));
      weights.forEach((weight, i) => {
        min = Math.min(min, weight);
        max = Math.max(max, weight);
        sum += weight;
        if (!(weight >= 0 && weight < Infinity))
          add(`${path}: the weight of entry ${row + i} is ${weight}`, row + i);
      });
    }
    if (digest !== undefined && hash.digest('hex') !== digest)
      add(`${path} does not have the checksum that the manifest names`);
    return { min, max, sum, checksummed: digest !== undefined };
  } finally {
    file.close();
  }
}
