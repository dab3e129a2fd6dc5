import { createHash } from 'node:crypto';
import type { KeySource } from './key-source.js';

/** Enough that no two datastores agree in all of them by chance; read in a moment. */
const SAMPLED_KEYS = 256;

/**
 * What tells a datastore from another: the checksum in its manifest, or without one the checksum of keys spread evenly
 * over it.
 */
export function identifySource(source: KeySource): string {
  if (source.fingerprint !== undefined) return `content ${source.fingerprint}`;
  const count = Math.min(SAMPLED_KEYS, source.rows);
  const ids = Float64Array.from({ length: count }, (_, i) =>
    count === 1 ? 0 : Math.floor((i * (source.rows - 1)) / (count - 1)),
  );
  const keys = source.gatherKeys(ids);
  const bytes = new Uint8Array(keys.buffer, keys.byteOffset, keys.byteLength);
  return `sample ${createHash('sha256').update(bytes).digest('hex')}`;
}
