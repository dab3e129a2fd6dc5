import { DatastoreError } from './error.js';
import type { DatastoreIdentity } from './identity.js';
import { checkShape } from './layout.js';
import type { AppendingText, DatastorePart, DatastoreText, Manifest, Segment } from './manifest.js';

/** Throws `DATASTORE_MANIFEST_DAMAGED`. */
export function damaged(path: string, reason: string, cause?: unknown): never {
  throw new DatastoreError('DATASTORE_MANIFEST_DAMAGED', `${path} is not a datastore's manifest: ${reason}`, {
    hint: 'Restore the file from a copy, or make the datastore again.',
    details: { path },
    cause,
  });
}

/** A field of unknown type, for a message. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, 40)}"`;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'missing';
}

/**
 * Checks the fields of a manifest. They are checked although its checksum was right: a program of another author may
 * have written them.
 *
 * @param fields - decoded, without the checksum
 * @param version - a known one
 * @param path - for messages
 * @throws {@link DatastoreError} `DATASTORE_MANIFEST_DAMAGED`
 */
export function checkedManifest(fields: Record<string, unknown>, version: number, path: string): Manifest {
  const { rows, dimension, dtype, committedRows, finished, replacing, segmentRows } = fields;
  const manifest = { version, rows, dimension, dtype, committedRows, finished, replacing } as Manifest;
  try {
    checkShape(manifest);
  } catch (cause) {
    damaged(path, (cause as Error).message, cause);
  }
  if (typeof finished !== 'boolean') damaged(path, 'finished is not a boolean');
  if (typeof replacing !== 'boolean') damaged(path, 'replacing is not a boolean');
  if (!isCount(committedRows) || committedRows > manifest.rows)
    damaged(path, `committedRows is ${shown(committedRows)}, rows is ${manifest.rows}`);
  if (finished && committedRows !== manifest.rows)
    damaged(path, `it is finished with ${committedRows} of ${manifest.rows} rows`);
  if (!isCount(segmentRows) || segmentRows < 1) damaged(path, `segmentRows is ${shown(segmentRows)}`);
  const parts = fields['parts'] === undefined ? undefined : checkedParts(fields['parts'], manifest, path);
  const inSegments = parts === undefined ? committedRows : 0;
  return {
    ...manifest,
    identity: checkedIdentity(fields['identity'], path),
    segmentRows,
    // The last segment of each text may be short, so that rows of several texts tell no more than their sum.
    segments: checkedSegments(fields['segments'], inSegments, {
      segmentRows: fields['texts'] === undefined ? segmentRows : undefined,
      path,
    }),
    ...optional('texts', fields['texts'], (texts) => checkedTexts(texts, manifest, path)),
    ...optional('appending', fields['appending'], (text) => checkedAppending(text, manifest, path)),
    ...optional('parts', parts, (checked) => checked as readonly DatastorePart[]),
    ...optional('weights', fields['weights'], (digest) =>
      isDigest(digest) ? digest : damaged(path, 'weights is not a SHA-256 checksum'),
    ),
  };
}

function optional<Name extends string, Value>(
  name: Name,
  value: unknown,
  check: (value: unknown) => Value,
): Partial<Record<Name, Value>> {
  return value === undefined ? {} : ({ [name]: check(value) } as Partial<Record<Name, Value>>);
}

function checkedIdentity(identity: unknown, path: string): DatastoreIdentity {
  if (typeof identity !== 'object' || identity === null || Array.isArray(identity))
    damaged(path, 'identity is not a map');
  for (const [field, value] of Object.entries(identity)) {
    if (!['string', 'number', 'boolean'].includes(typeof value))
      damaged(path, `identity.${field} is not a scalar`);
  }
  return identity as DatastoreIdentity;
}

/** @param segmentRows - of all segments but the last, where that is known */
function checkedSegments(
  segments: unknown,
  rowsDue: number,
  { segmentRows, path }: { readonly segmentRows: number | undefined; readonly path: string },
): readonly Segment[] {
  const expected = segmentRows === undefined ? undefined : Math.ceil(rowsDue / segmentRows);
  if (!Array.isArray(segments) || segments.length !== (expected ?? segments.length))
    damaged(path, `it has ${Array.isArray(segments) ? segments.length : 'no'} segments, not ${expected}`);
  let sum = 0;
  const checked = segments.map((entry: unknown, i) => {
    const { rows, keys, values } = (entry ?? {}) as Partial<Segment>;
    const due = segmentRows === undefined ? rows : Math.min(segmentRows, rowsDue - sum);
    if (!isCount(rows) || rows < 1 || rows !== due)
      damaged(path, `segment ${i} has ${shown(rows)} rows${due === undefined ? '' : `, not ${due}`}`);
    if (!isDigest(keys) || !isDigest(values)) damaged(path, `segment ${i} has no SHA-256 checksums`);
    sum += rows;
    return { rows, keys, values };
  });
  if (sum !== rowsDue) damaged(path, `its segments have ${sum} rows, not ${rowsDue}`);
  return checked;
}

function checkedTexts(texts: unknown, { rows }: Manifest, path: string): readonly DatastoreText[] {
  if (!Array.isArray(texts) || texts.length === 0) damaged(path, 'texts is not a list');
  const checked = texts.map((text: unknown) => checkedText(text, path));
  const sum = checked.reduce((total, text) => total + text.rows, 0);
  if (sum !== rows) damaged(path, `its texts have ${sum} rows, not ${rows}`);
  return checked;
}

function checkedText(text: unknown, path: string): DatastoreText {
  const { rows, identity } = (text ?? {}) as Partial<DatastoreText>;
  if (!isCount(rows) || rows < 1) damaged(path, `a text has ${shown(rows)} rows`);
  return { rows, identity: checkedIdentity(identity, path) };
}

function checkedAppending(text: unknown, manifest: Manifest, path: string): AppendingText {
  if (!manifest.finished) damaged(path, 'something is appended to an unfinished datastore');
  const { rows, identity } = checkedText(text, path);
  const { committedRows, segmentRows, segments } = text as Partial<AppendingText>;
  if (!isCount(committedRows) || committedRows > rows)
    damaged(path, `${shown(committedRows)} of ${rows} rows are appended`);
  if (!isCount(segmentRows) || segmentRows < 1) damaged(path, `segmentRows is ${shown(segmentRows)}`);
  return {
    ...{ rows, identity, committedRows, segmentRows },
    segments: checkedSegments(segments, committedRows, { segmentRows, path }),
  };
}

function checkedParts(parts: unknown, { rows }: Manifest, path: string): readonly DatastorePart[] {
  if (!Array.isArray(parts) || parts.length === 0) damaged(path, 'parts is not a list');
  const checked = parts.map((part: unknown) => {
    const { folder, rows: own, fingerprint } = (part ?? {}) as Partial<DatastorePart>;
    if (typeof folder !== 'string' || folder === '') damaged(path, 'a part has no folder');
    if (!isCount(own) || own < 1) damaged(path, `the part ${folder} has ${shown(own)} rows`);
    if (!isDigest(fingerprint)) damaged(path, `the part ${folder} has no fingerprint`);
    return { folder, rows: own, fingerprint };
  });
  const sum = checked.reduce((total, part) => total + part.rows, 0);
  if (sum !== rows) damaged(path, `its parts have ${sum} rows, not ${rows}`);
  return checked;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isDigest(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}
