import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { DistanceSource, KeySource } from '../src/key-source.js';

/** A new folder for one test's files. */
export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'knn-lm-index-'));
}

/** Reproducible clustered vectors, `[rows, dimension]`. */
export function clusteredVectors(rows: number, dimension: number, seed = 1): Float32Array {
  let state = seed;
  const next = (): number => (state = (state * 48271) % 2147483647) / 2147483647;
  const centers = Float32Array.from({ length: 10 * dimension }, () => next() * 8);
  const vectors = new Float32Array(rows * dimension);
  for (let row = 0; row < rows; row++) {
    const center = Math.floor(next() * 10);
    for (let i = 0; i < dimension; i++)
      vectors[row * dimension + i] = centers[center * dimension + i] + next();
  }
  return vectors;
}

/** A datastore in memory, that counts what is read of it. */
export class MemorySource implements KeySource, DistanceSource {
  readonly rows: number;
  rowsRead = 0;

  constructor(
    readonly keys: Float32Array,
    readonly dimension: number,
    readonly folder = newFolder(),
  ) {
    this.rows = keys.length / dimension;
  }

  readKeys(start: number, count: number): Float32Array {
    this.rowsRead += count;
    return this.keys.slice(start * this.dimension, (start + count) * this.dimension);
  }

  gatherKeys(ids: Float64Array): Float32Array {
    const keys = new Float32Array(ids.length * this.dimension);
    ids.forEach((id, i) => keys.set(this.readKeys(id, 1), i * this.dimension));
    return keys;
  }

  squaredDistances(queries: Float32Array, ids: Float64Array, k: number): Promise<Float32Array> {
    const d = this.dimension;
    const distances = Float32Array.from(ids, (id, at) => {
      const key = (id < 0 ? this.rows - 1 : id) * d;
      const query = Math.floor(at / k) * d;
      let sum = 0;
      for (let i = 0; i < d; i++) sum += (this.keys[key + i] - queries[query + i]) ** 2;
      return sum;
    });
    return Promise.resolve(distances);
  }
}

/** Matches an error by its code. */
export function withCode(code: string): Error {
  return expect.objectContaining({ code }) as Error;
}
