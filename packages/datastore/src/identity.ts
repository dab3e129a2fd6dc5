import { DatastoreError } from './error.js';
import type { DatastoreShape } from './layout.js';

/**
 * What a datastore was made from. Two runs with equal identities write the same rows, so that the second can go on
 * where the first stopped. Any further field may be given; fields that are `undefined` count as absent.
 */
export interface DatastoreIdentity {
  /** Fingerprint of the dictionary: what a value means. */
  readonly dictionaryFingerprint?: string | undefined;
  /** Fingerprint of the weights and the architecture. */
  readonly modelFingerprint?: string | undefined;
  /** Fingerprint of the binarized text. */
  readonly textFingerprint?: string | undefined;
  /** The module whose output is the key, such as `layers[3].final_layer_norm`. */
  readonly moduleToCapture?: string | undefined;
  /** fairseq's `--sample-break-mode`. */
  readonly breakMode?: string | undefined;
  /** fairseq's `--tokens-per-sample`, context included. */
  readonly tokensPerSample?: number | undefined;
  /** Tokens of context carried from block to block. */
  readonly contextWindow?: number | undefined;
  /** The part of the text: `train`. */
  readonly split?: string | undefined;
  /** Whatever else tells two datastores apart. */
  readonly [field: string]: string | number | boolean | undefined;
}

/** One field in which two datastores differ. */
export interface IdentityDifference {
  /** Name of the field. */
  readonly field: string;
  /** Its value on disk; `undefined` if it is not there. */
  readonly onDisk: string | number | boolean | undefined;
  /** Its value now. */
  readonly now: string | number | boolean | undefined;
}

/** A datastore as far as it must agree before its rows may be continued. */
export interface DatastoreDescription extends DatastoreShape {
  /** What it is made from. */
  readonly identity: DatastoreIdentity;
}

/** Drops absent fields and sorts the rest, so that equal identities are stored as equal bytes. */
export function normalizeIdentity(identity: DatastoreIdentity): DatastoreIdentity {
  const entries = Object.entries(identity)
    .filter((entry): entry is [string, string | number | boolean] => entry[1] !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [field, value] of entries) {
    if (field === 'rows' || field === 'dimension' || field === 'dtype') {
      throw new DatastoreError('DATASTORE_BAD_IDENTITY', `the identity has a field ${field}`, {
        hint: 'The shape is compared anyway: leave it out of the identity.',
        details: { field, value },
      });
    }
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw new DatastoreError('DATASTORE_BAD_IDENTITY', `the identity's ${field} is ${value}`, {
        hint: 'Identity fields are strings, booleans or finite numbers.',
        details: { field, value },
      });
    }
  }
  return Object.fromEntries(entries);
}

/** Lists every field, of the identity and of the shape, in which a datastore on disk differs from what is asked for. */
export function compareDescriptions(
  onDisk: DatastoreDescription,
  now: DatastoreDescription,
): IdentityDifference[] {
  const before = flatten(onDisk);
  const after = flatten(now);
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((field) => before[field] !== after[field])
    .map((field) => ({ field, onDisk: before[field], now: after[field] }));
}

function flatten({ rows, dimension, dtype, identity }: DatastoreDescription): DatastoreIdentity {
  return { rows, dimension, dtype, ...normalizeIdentity(identity) };
}

/** One line for each difference: `contextWindow: 0 on disk, 192 now`. */
export function describeDifferences(differences: readonly IdentityDifference[]): string {
  const show = (value: IdentityDifference['now']): string =>
    value === undefined ? '(not given)' : typeof value === 'string' ? `"${value}"` : String(value);
  return differences
    .map(({ field, onDisk, now }) => `${field}: ${show(onDisk)} on disk, ${show(now)} now`)
    .join('; ');
}
