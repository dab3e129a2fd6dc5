import { createHash } from 'node:crypto';
import type { Manifest } from './manifest.js';

type Described = Pick<Manifest, 'rows' | 'dimension' | 'dtype' | 'segmentRows' | 'segments' | 'parts'>;

/**
 * One checksum for the content of a finished datastore: equal shapes, keys and values, committed in the same segments,
 * give equal fingerprints, so that an index can tell which datastore it belongs to. That of a list of parts is made from
 * the parts' own; a list of one has the fingerprint of the part.
 *
 * @returns SHA-256 as 64 hexadecimal digits
 */
export function contentFingerprint({
  rows,
  dimension,
  dtype,
  segmentRows,
  segments,
  parts,
}: Described): string {
  if (parts?.length === 1) return parts[0].fingerprint;
  const content =
    parts === undefined
      ? [segmentRows, segments.map((segment) => [segment.keys, segment.values])]
      : ['parts', parts.map((part) => part.fingerprint)];
  return createHash('sha256')
    .update(JSON.stringify([rows, dimension, dtype, ...content]))
    .digest('hex');
}

/**
 * The content fingerprint that a datastore had when it ended after its first rows: before a text was appended, or before
 * parts were added to the list. What was made from it then, an index, is recognised by it.
 *
 * @param manifest - of a finished datastore
 * @param rows - how many of its first rows
 * @returns `undefined` where no text, segment or part ends there
 */
export function prefixFingerprint(manifest: Described, rows: number): string | undefined {
  const { parts } = manifest;
  if (parts !== undefined) {
    const count = countUntil(parts, rows);
    return count === undefined
      ? undefined
      : contentFingerprint({ ...manifest, rows, parts: parts.slice(0, count) });
  }
  const count = countUntil(manifest.segments, rows);
  if (count === undefined) return undefined;
  return contentFingerprint({ ...manifest, rows, segments: manifest.segments.slice(0, count) });
}

/** How many of the pieces have a number of rows together. */
function countUntil(pieces: readonly { readonly rows: number }[], rows: number): number | undefined {
  let sum = 0;
  for (const [i, piece] of pieces.entries()) {
    sum += piece.rows;
    if (sum === rows) return i + 1;
  }
  return undefined;
}
