import type { DatastoreIdentity } from './identity.js';
import type { DatastoreText, Manifest } from './manifest.js';

/** A text of a datastore and where its rows are. */
export interface PlacedText extends DatastoreText {
  /** The first of its rows. */
  readonly firstRow: number;
}

/**
 * The texts that a datastore's rows come from, in order. One that nothing was appended to has one: what its identity
 * says.
 *
 * @param manifest - the datastore's
 */
export function textsOf(manifest: Pick<Manifest, 'rows' | 'identity' | 'texts'>): readonly PlacedText[] {
  const { rows, identity, texts = [{ rows, identity }] } = manifest;
  let firstRow = 0;
  return texts.map((text) => {
    const placed = { ...text, firstRow };
    firstRow += text.rows;
    return placed;
  });
}

/** The fields in which several identities agree. */
export function agreedIdentity(identities: readonly DatastoreIdentity[]): DatastoreIdentity {
  const [first, ...others] = identities;
  return Object.fromEntries(
    Object.entries(first).filter(([field, value]) => others.every((other) => other[field] === value)),
  );
}
