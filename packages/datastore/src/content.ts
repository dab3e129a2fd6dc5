import { createHash } from 'node:crypto';
import type { Datastore } from './datastore.js';

/** Rows looked at in a datastore whose manifest does not tell its content. */
const sampledRows = 256;

/**
 * Tells the content of a datastore: from the checksums of its manifest, or, without one, from its shape and 256 rows
 * spread evenly over it. It decides whether interrupted work on the datastore may go on.
 *
 * @returns 64 hexadecimal digits
 */
export function contentOf(datastore: Datastore): string {
  if (datastore.fingerprint !== undefined) return datastore.fingerprint;
  const { rows, dimension, dtype } = datastore;
  const hash = createHash('sha256').update(JSON.stringify([rows, dimension, dtype]));
  const count = Math.min(sampledRows, rows);
  for (let i = 0; i < count; i++) {
    const row = count === 1 ? 0 : Math.floor((i * (rows - 1)) / (count - 1));
    hash.update(asBytes(datastore.readStoredKeys(row, 1))).update(asBytes(datastore.readValues(row, 1)));
  }
  return hash.digest('hex');
}

/** The bytes of an array, not copied. */
export function asBytes(array: Uint16Array | Float32Array | Int32Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
