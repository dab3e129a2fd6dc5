import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { float16FromFloat32 } from '@knn-lm/common';
import type { KeysDtype } from '../../src/index.js';

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

/** A new empty folder, removed after the tests of the file. */
export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'knn-lm-datastore-'));
  folders.push(folder);
  return folder;
}

/** Pseudo-random numbers in [-4, 4): the same for the same element of the same datastore. */
export function element(row: number, column: number): number {
  let x = Math.imul(row + 1, 0x9e3779b1) ^ Math.imul(column + 1, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 15), 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 12), 0x297a2d39);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 29 - 4;
}

/** Keys of rows `start` to `start + count`, float32. */
export function keysF32(start: number, count: number, dimension: number): Float32Array {
  return Float32Array.from({ length: count * dimension }, (_, i) =>
    element(start + Math.floor(i / dimension), i % dimension),
  );
}

/** The same in the precision of a datastore. */
export function keysOf(
  start: number,
  count: number,
  dimension: number,
  dtype: KeysDtype,
): Uint16Array | Float32Array {
  const keys = keysF32(start, count, dimension);
  return dtype === 'fp16' ? float16FromFloat32(keys) : keys;
}

/** Values of rows `start` to `start + count`. */
export function valuesOf(start: number, count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => (start + i) % 1000);
}

/** Little-endian int64 bytes of values. */
export function int64Of(values: Int32Array): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  values.forEach((value, i) => bytes.writeBigInt64LE(BigInt(value), i * 8));
  return bytes;
}

/** The bytes of an array. */
export function bytesOf(array: Uint16Array | Float32Array): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}
