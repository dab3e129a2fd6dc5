import type { Manifest, Segment } from './manifest.js';
import { versionOf } from './manifest.js';
import { agreedIdentity, textsOf } from './texts.js';

/** The rows that a writer writes, and how far it is: a whole datastore, or a text behind the finished rows of one. */
export interface Writing {
  /** Finished rows before them, which are not touched. */
  readonly baseRows: number;
  /** Rows planned. */
  readonly rows: number;
  /** Rows of them that are on the disk. */
  readonly committedRows: number;
  /** Rows of a full segment. */
  readonly segmentRows: number;
  /** Their committed segments. */
  readonly segments: readonly Segment[];
}

/** What is to be written into a datastore according to its manifest. */
export function writingOf(manifest: Manifest): Writing {
  const { appending, rows } = manifest;
  return appending === undefined ? { ...manifest, baseRows: 0 } : { ...appending, baseRows: rows };
}

/** The manifest after more rows were committed. */
export function withCommitted(
  manifest: Manifest,
  progress: Pick<Writing, 'committedRows' | 'segments'>,
): Manifest {
  const { appending } = manifest;
  if (appending === undefined) return { ...manifest, ...progress };
  return { ...manifest, appending: { ...appending, ...progress } };
}

/**
 * The manifest after all rows were committed. A text that was appended is one of the datastore's from then on, and the
 * identity becomes what all texts have in common.
 *
 * @param manifest - with all rows committed
 * @param weights - SHA-256 of the weights that were written
 */
export function asFinished(manifest: Manifest, weights: string | undefined): Manifest {
  const { appending, ...before } = manifest;
  if (appending === undefined) return versioned({ ...manifest, finished: true, ...(weights && { weights }) });
  const { rows, identity, segments } = appending;
  const texts = [
    ...textsOf(manifest).map((text) => ({ rows: text.rows, identity: text.identity })),
    { rows, identity },
  ];
  const sum = manifest.rows + rows;
  return versioned({
    ...before,
    rows: sum,
    committedRows: sum,
    identity: agreedIdentity(texts.map((text) => text.identity)),
    segments: [...manifest.segments, ...segments],
    texts,
  });
}

/** The manifest with the version that its fields need. */
export function versioned(manifest: Manifest): Manifest {
  return { ...manifest, version: versionOf(manifest) };
}
