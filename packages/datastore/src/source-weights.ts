import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Datastore } from './datastore.js';
import { weightsName } from './layout.js';
import { ValueWeights } from './value-weights.js';

/** Weights that are read together. */
const chunkRows = 1 << 16;

/** Gives consecutive weights. */
export interface WeightReader {
  /** `[count]`; may be reused by the next call. */
  read(start: number, count: number): Float32Array;
}

/** Whether the entries of a datastore have weights. */
export function hasWeights({ folder, manifest }: Datastore): boolean {
  return manifest?.weights !== undefined || existsSync(join(folder, weightsName));
}

/** Calls with the weights of datastores that a new one is made from; entries without weights weigh 1. */
export async function withWeights<Result>(
  sources: readonly Datastore[],
  call: (readers: readonly WeightReader[]) => Promise<Result>,
): Promise<Result> {
  const opened: ValueWeights[] = [];
  try {
    const readers: WeightReader[] = [];
    for (const source of sources) {
      if (!hasWeights(source)) {
        readers.push(ones);
        continue;
      }
      const weights = await ValueWeights.open(source.folder, source.rows);
      opened.push(weights);
      readers.push(weights);
    }
    return await call(readers);
  } finally {
    for (const weights of opened) weights.close();
  }
}

const ones: WeightReader = { read: (_, count) => new Float32Array(count).fill(1) };

/** All weights of a reader, in chunks of 256 KiB. */
export function* allWeights(reader: WeightReader, rows: number): Generator<Float32Array> {
  for (let row = 0; row < rows; row += chunkRows) yield reader.read(row, Math.min(chunkRows, rows - row));
}
