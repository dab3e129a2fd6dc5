import { DatastoreError } from './error.js';
import type { DatastoreShape } from './layout.js';

/**
 * Checks keys and values that are to be appended, before any of them is written.
 *
 * @param keys - `[n, dimension]`, in the datastore's precision
 * @param values - `[n]`
 * @param shape - the datastore's
 * @param firstRow - row of the datastore that the first key becomes
 * @throws {@link DatastoreError} `DATASTORE_BAD_KEYS`, `DATASTORE_TOO_MANY_ROWS`, `DATASTORE_KEY_NOT_FINITE`,
 * `DATASTORE_BAD_VALUE`
 */
export function checkRows(
  keys: Uint16Array | Float32Array,
  values: Int32Array,
  shape: DatastoreShape,
  firstRow: number,
): void {
  const { rows, dimension, dtype } = shape;
  const typed = dtype === 'fp16' ? keys instanceof Uint16Array : keys instanceof Float32Array;
  if (!typed) {
    throw new DatastoreError(
      'DATASTORE_BAD_KEYS',
      `keys are a ${keys.constructor.name}, the datastore is ${dtype}`,
      {
        hint: 'fp16 keys are a Uint16Array of half-precision patterns, fp32 keys a Float32Array.',
        details: { found: keys.constructor.name, dtype },
      },
    );
  }
  if (keys.length !== values.length * dimension) {
    throw new DatastoreError(
      'DATASTORE_BAD_KEYS',
      `keys have ${keys.length} elements; ${values.length} values and dimension ${dimension} take ${values.length * dimension}`,
      {
        hint: 'Give one key of the datastore’s dimension for each value.',
        details: { elements: keys.length, values: values.length, dimension },
      },
    );
  }
  if (firstRow + values.length > rows) {
    throw new DatastoreError(
      'DATASTORE_TOO_MANY_ROWS',
      `${values.length} rows after the first ${firstRow} are more than the ${rows} rows planned`,
      { hint: 'Plan the datastore with more rows, or append fewer.', details: { firstRow, rows } },
    );
  }
  checkFinite(keys, dimension, dtype, firstRow);
  checkValues(values, firstRow);
}

function checkFinite(
  keys: Uint16Array | Float32Array,
  dimension: number,
  dtype: string,
  firstRow: number,
): void {
  const wrong = firstNotFinite(keys);
  if (wrong < 0) return;
  const row = firstRow + Math.floor(wrong / dimension);
  const column = wrong % dimension;
  const overflow = keys instanceof Uint16Array && (keys[wrong] & 0x3ff) === 0;
  const what = overflow
    ? 'infinite: it overflowed fp16, whose largest number is 65504'
    : 'not a finite number';
  throw new DatastoreError(
    'DATASTORE_KEY_NOT_FINITE',
    `the key of row ${row} is ${what} (element ${column})`,
    {
      hint: overflow
        ? 'Make the datastore with --keys-dtype fp32, or capture another module.'
        : 'Look at the model and at the text of this row: the hidden state is not finite.',
      details: { row, column, dtype },
    },
  );
}

/**
 * Finds the first element that is infinite or not a number.
 *
 * @param keys - fp16 patterns or float32
 * @returns its index, or -1
 */
export function firstNotFinite(keys: Uint16Array | Float32Array): number {
  if (keys instanceof Uint16Array) {
    for (let i = 0; i < keys.length; i++) if ((keys[i] & 0x7c00) === 0x7c00) return i;
    return -1;
  }
  // Infinity - Infinity and NaN - NaN are NaN, which equals nothing.
  for (let i = 0; i < keys.length; i++) if (keys[i] - keys[i] !== 0) return i;
  return -1;
}

function checkValues(values: Int32Array, firstRow: number): void {
  for (let i = 0; i < values.length; i++) {
    if (values[i] >= 0) continue;
    throw new DatastoreError('DATASTORE_BAD_VALUE', `the value of row ${firstRow + i} is ${values[i]}`, {
      hint: 'Values are token ids: 0 or more.',
      details: { row: firstRow + i, value: values[i] },
    });
  }
}

/** Widens values to int64 as they are on disk, little-endian. */
export function int64Bytes(values: Int32Array): Uint8Array {
  const words = new Int32Array(2 * values.length);
  for (let i = 0; i < values.length; i++) {
    words[2 * i] = values[i];
    words[2 * i + 1] = values[i] >> 31;
  }
  return new Uint8Array(words.buffer);
}
