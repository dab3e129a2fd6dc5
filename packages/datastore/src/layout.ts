import { endianness } from 'node:os';
import { join } from 'node:path';
import { DatastoreError } from './error.js';

/** Precision of the keys on disk. */
export type KeysDtype = 'fp16' | 'fp32';

/** The arrays on disk: raw, row-major, little-endian, without a header, in spite of the suffix. */
export const keysName = 'keys.npy';
/** int64, one value a row. */
export const valuesName = 'values.npy';
/** Weights of a pruned datastore: raw float32, one a row. */
export const weightsName = 'weight.npy';
/** The manifest, in MessagePack. */
export const manifestName = 'datastore.msgpack';

/** Bytes of one value on disk (int64). */
export const valueBytes = 8;

/**
 * Largest key dimension that is taken for a real one. The widest hidden states in use have some 16,000; a larger
 * number is a damaged manifest or a mistyped flag, and would size buffers.
 */
export const maxDimension = 1 << 20;

/** What the arrays hold: `rows` keys of `dimension` elements, and as many values. */
export interface DatastoreShape {
  /** Number of entries. */
  readonly rows: number;
  /** Elements of one key. */
  readonly dimension: number;
  /** Precision of the keys on disk. */
  readonly dtype: KeysDtype;
}

/** Bytes of one element of a key. */
export function elementBytes(dtype: KeysDtype): number {
  return dtype === 'fp16' ? 2 : 4;
}

/** Bytes of one key on disk. */
export function keyBytes(shape: Pick<DatastoreShape, 'dimension' | 'dtype'>): number {
  return shape.dimension * elementBytes(shape.dtype);
}

/** The paths of a datastore's files. */
export function datastorePaths(folder: string): { keys: string; values: string; manifest: string } {
  return {
    keys: join(folder, keysName),
    values: join(folder, valuesName),
    manifest: join(folder, manifestName),
  };
}

/** `20238 keys of 256 fp16`, or `20237.5 keys of 256 fp16` for a size that fits no whole number. */
export function describeKeys(bytes: number, dimension: number, dtype: KeysDtype): string {
  const rows = bytes / (dimension * elementBytes(dtype));
  return `${Number.isInteger(rows) ? rows : rows.toFixed(2)} keys of ${dimension} ${dtype}`;
}

/**
 * Checks a shape before anything is sized by it.
 *
 * @throws {@link DatastoreError} `DATASTORE_BAD_SHAPE`
 */
export function checkShape(shape: DatastoreShape): void {
  if (!Number.isSafeInteger(shape.rows) || shape.rows < 1) badShape('rows', shape.rows, 'a positive integer');
  if (!Number.isSafeInteger(shape.dimension) || shape.dimension < 1 || shape.dimension > maxDimension)
    badShape('dimension', shape.dimension, `an integer from 1 to ${maxDimension}`);
  if (shape.dtype !== 'fp16' && shape.dtype !== 'fp32') badShape('dtype', shape.dtype, 'fp16 or fp32');
  if (!Number.isSafeInteger(shape.rows * keyBytes(shape)))
    badShape('rows', shape.rows, 'a number of rows whose size in bytes is below 2^53');
}

function badShape(name: string, found: unknown, expected: string): never {
  throw new DatastoreError(
    'DATASTORE_BAD_SHAPE',
    `the datastore's ${name} is ${String(found)}, not ${expected}`,
    {
      hint: `Give ${name} as ${expected}.`,
      details: { [name]: typeof found === 'number' || typeof found === 'string' ? found : typeof found },
    },
  );
}

/** The files are little-endian, and typed arrays are read and written as they are. */
export function requireLittleEndian(): void {
  if (endianness() === 'LE') return;
  throw new DatastoreError(
    'DATASTORE_BIG_ENDIAN',
    'this machine is big-endian, a datastore is little-endian',
    {
      hint: 'Use a little-endian machine (x86-64, arm64).',
    },
  );
}
