import { createHash } from 'node:crypto';
import type { KeySource } from './key-source.js';

/** Enough that no two datastores agree in all of them by chance; read in a moment. */
const SAMPLED_KEYS = 256;

/** What tells the first rows of a datastore from those of another. */
export interface SourceIdentity {
  /** How many rows. */
  readonly rows: number;
  /** Checksum of the content, where the datastore knows one for these rows. */
  readonly fingerprint: string | undefined;
  /** Checksum of keys spread evenly over the rows. */
  readonly sample: string | undefined;
}

type Identified = Pick<KeySource, 'rows' | 'fingerprint' | 'fingerprintOf' | 'gatherKeys'>;

/**
 * What tells a datastore, or its first rows, from another: the checksum in its manifest, and one of keys spread evenly.
 *
 * @param source - the datastore
 * @param rows - how many of its first rows; all by default
 * @param needSample - reads keys although there is a fingerprint
 */
export function identifySource(source: Identified, rows = source.rows, needSample = true): SourceIdentity {
  const fingerprint = rows === source.rows ? source.fingerprint : source.fingerprintOf?.(rows);
  const sample = fingerprint === undefined || needSample ? sampleDigest(source, rows) : undefined;
  return { rows, fingerprint, sample };
}

function sampleDigest(source: Identified, rows: number): string {
  const count = Math.min(SAMPLED_KEYS, rows);
  const ids = Float64Array.from({ length: count }, (_, i) =>
    count === 1 ? 0 : Math.floor((i * (rows - 1)) / (count - 1)),
  );
  const keys = source.gatherKeys(ids);
  const bytes = new Uint8Array(keys.buffer, keys.byteOffset, keys.byteLength);
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * In what a datastore's first rows differ from those that something was made from.
 *
 * @param recorded - of what it was made from
 * @param source - the datastore now
 * @param hasKeys - whether keys can be read
 * @returns both sides, in words; nothing where they agree, or nothing can be compared
 */
export function sourceDifference(
  recorded: SourceIdentity,
  source: Identified,
  hasKeys: boolean,
): { readonly found: string; readonly expected: string } | undefined {
  const { rows } = recorded;
  if (rows > source.rows) return { found: `${rows} keys`, expected: `${source.rows} keys` };
  const fingerprint = rows === source.rows ? source.fingerprint : source.fingerprintOf?.(rows);
  if (fingerprint !== undefined && fingerprint === recorded.fingerprint) return undefined;
  // Equal keys in other segments, or with other values, have another fingerprint: the keys decide.
  if (hasKeys && recorded.sample !== undefined) {
    const sample = sampleDigest(source, rows);
    return sample === recorded.sample
      ? undefined
      : { found: `sample ${recorded.sample}`, expected: `sample ${sample}` };
  }
  if (fingerprint === undefined || recorded.fingerprint === undefined) return undefined;
  return { found: `content ${recorded.fingerprint}`, expected: `content ${fingerprint}` };
}
