import { expect } from 'vitest';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { float32FromFloat16 } from '@knn-lm/common';

/** A file of this package's `test/golden`, made by `make.py` with Python's Faiss. */
export function goldenPath(name: string): string {
  return fileURLToPath(new URL(`golden/${name}`, import.meta.url));
}

interface GoldenSearch {
  readonly k: number;
  readonly rows: number;
  readonly ids: number[];
  readonly distances: number[];
}

/** What Python's Faiss found. */
export const golden = JSON.parse(readFileSync(goldenPath('golden.json'), 'utf8')) as {
  ivfpq: GoldenSearch[];
  flat: GoldenSearch[];
  permutations: { n: number; seed: number; prefix: number[]; sum: number }[];
};

const bytes = readFileSync(goldenPath('vectors.f16'));
/** `[900, 16]` half-precision patterns. */
export const halves = new Uint16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
/** The same in single precision. */
export const singles = float32FromFloat16(halves);
/** `[20, 16]` the first vectors, moved a little. */
export const queries = singles.slice(0, 20 * 16).map((value) => value + 0.25);

/** Reproducible numbers from 0 to 1 (a linear congruential generator). */
export function randomNumbers(count: number, seed = 1): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (state * 48271) % 2147483647;
    return state / 2147483647;
  });
}

/** Asserts a typed error by its code. */
export function withCode(code: string): unknown {
  return expect.objectContaining({ code }) as unknown;
}
