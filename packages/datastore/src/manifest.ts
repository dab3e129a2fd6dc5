import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Packr } from 'msgpackr';
import { writeFileAtomic } from '@knn-lm/common';
import { DatastoreError, describeReadError } from './error.js';
import { normalizeIdentity, type DatastoreIdentity } from './identity.js';
import { checkShape, datastorePaths, type DatastoreShape } from './layout.js';

/** The manifest's format version that this package writes, and the only one it reads. */
export const manifestVersion = 1;

/** Most segments in a manifest: with a checksum of 64 digits for each array it stays below half a megabyte. */
export const maxSegments = 2048;

/** A manifest holds {@link maxSegments} segments at most; a file above this size is something else. */
const maxManifestBytes = 4 * 2 ** 20;

/** A run of committed rows and the SHA-256 of their bytes in each array, as 64 hexadecimal digits. */
export interface Segment {
  /** Rows in the segment; `segmentRows` of the manifest in all but the last. */
  readonly rows: number;
  /** SHA-256 of the rows' bytes in `keys.npy`. */
  readonly keys: string;
  /** SHA-256 of the rows' bytes in `values.npy`. */
  readonly values: string;
}

/** What `datastore.msgpack` says about the arrays beside it. */
export interface Manifest extends DatastoreShape {
  /** Version of the manifest's format. */
  readonly version: number;
  /** Rows planned. */
  readonly rows: number;
  /** Rows that are on disk and count: what the arrays hold beyond them is the rest of an interrupted run. */
  readonly committedRows: number;
  /** Whether all planned rows are committed and the writer said so. */
  readonly finished: boolean;
  /** Whether a finished replacement is being moved in; true on disk only for the moment of a few renames. */
  readonly replacing: boolean;
  /** What the datastore was made from. */
  readonly identity: DatastoreIdentity;
  /** Rows of a full segment. */
  readonly segmentRows: number;
  /** Committed segments in order; their rows add up to `committedRows`. */
  readonly segments: readonly Segment[];
}

const formatName = 'knn-lm-datastore';
const packr = new Packr({ useRecords: false });

/**
 * Reads the manifest of a datastore.
 *
 * @param folder - the datastore's folder
 * @returns the manifest, or `undefined` if the folder has none (a datastore made by the Python tools, or nothing)
 * @throws {@link DatastoreError} `DATASTORE_MANIFEST_DAMAGED`, `DATASTORE_MANIFEST_VERSION`, or `DATASTORE_FILE_…`
 * when it cannot be read
 *
 * @example
 * ```ts
 * const manifest = await readManifest('datastore');
 * if (manifest?.finished) console.log(`${manifest.rows} keys of ${manifest.dimension} ${manifest.dtype}`);
 * ```
 */
export async function readManifest(folder: string): Promise<Manifest | undefined> {
  const path = datastorePaths(folder).manifest;
  const bytes = await readSmallFile(path);
  if (bytes === undefined) return undefined;
  return parseManifest(bytes, path);
}

async function readSmallFile(path: string): Promise<Uint8Array | undefined> {
  let file;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw describeReadError(cause, path, "read the datastore's manifest");
  }
  try {
    const { size } = await file.stat();
    if (size > maxManifestBytes)
      damaged(path, `it has ${size} bytes, a manifest has at most ${maxManifestBytes}`);
    return await file.readFile();
  } catch (cause) {
    throw describeReadError(cause, path, "read the datastore's manifest");
  } finally {
    await file.close();
  }
}

function damaged(path: string, reason: string, cause?: unknown): never {
  throw new DatastoreError('DATASTORE_MANIFEST_DAMAGED', `${path} is not a datastore's manifest: ${reason}`, {
    hint: 'Restore the file from a copy, or make the datastore again.',
    details: { path },
    cause,
  });
}

/**
 * Decodes and checks a manifest.
 *
 * @param bytes - content of `datastore.msgpack`
 * @param path - for messages
 * @throws {@link DatastoreError}
 */
export function parseManifest(bytes: Uint8Array, path: string): Manifest {
  let fields: Record<string, unknown>;
  try {
    const decoded: unknown = packr.unpack(bytes);
    if (typeof decoded !== 'object' || decoded === null || Array.isArray(decoded))
      throw new Error('not a map');
    fields = decoded as Record<string, unknown>;
  } catch (cause) {
    damaged(path, 'it is not a MessagePack map', cause);
  }
  if (fields['format'] !== formatName)
    damaged(path, `its format is ${shown(fields['format'])}, not "${formatName}"`);
  if (fields['version'] !== manifestVersion) {
    throw new DatastoreError(
      'DATASTORE_MANIFEST_VERSION',
      `${path} has format version ${shown(fields['version'])}, this program reads version ${manifestVersion}`,
      { hint: 'Use the version of knn-lm that made the datastore, or a newer one.', details: { path } },
    );
  }
  const { checksum, ...rest } = fields;
  if (checksum !== checksumOf(rest)) damaged(path, 'its content does not have the checksum it names');
  return checkedManifest(rest, path);
}

/** The fields are checked although the checksum was right: a program of another author may have written them. */
function checkedManifest(fields: Record<string, unknown>, path: string): Manifest {
  const { rows, dimension, dtype, committedRows, finished, replacing, identity, segmentRows, segments } =
    fields;
  const manifest = {
    version: manifestVersion,
    rows,
    dimension,
    dtype,
    committedRows,
    finished,
    replacing,
  } as Manifest;
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
  return {
    ...manifest,
    identity: checkedIdentity(identity, path),
    segmentRows,
    segments: checkedSegments(segments, segmentRows, committedRows, path),
  };
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

function checkedSegments(
  segments: unknown,
  segmentRows: number,
  committedRows: number,
  path: string,
): readonly Segment[] {
  const expected = Math.ceil(committedRows / segmentRows);
  if (!Array.isArray(segments) || segments.length !== expected)
    damaged(path, `it has ${Array.isArray(segments) ? segments.length : 'no'} segments, not ${expected}`);
  return segments.map((entry: unknown, i) => {
    const { rows, keys, values } = (entry ?? {}) as Partial<Segment>;
    const due = Math.min(segmentRows, committedRows - i * segmentRows);
    if (rows !== due) damaged(path, `segment ${i} has ${shown(rows)} rows, not ${due}`);
    if (!isDigest(keys) || !isDigest(values)) damaged(path, `segment ${i} has no SHA-256 checksums`);
    return { rows, keys, values };
  });
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isDigest(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}

function shown(value: unknown): string {
  if (typeof value === 'string') return `"${value.slice(0, 40)}"`;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : 'missing';
}

function checksumOf(fields: Record<string, unknown>): string {
  return createHash('sha256').update(packr.pack(fields)).digest('hex');
}

/** Encodes a manifest; equal manifests give equal bytes. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const { rows, committedRows, dimension, dtype, finished, replacing, segmentRows, segments } = manifest;
  const identity = normalizeIdentity(manifest.identity);
  const shape = { rows, committedRows, dimension, dtype, finished, replacing };
  const fields = { format: formatName, version: manifestVersion, ...shape, identity, segmentRows, segments };
  return packr.pack({ ...fields, checksum: checksumOf(fields) });
}

/**
 * Replaces the manifest atomically and durably: after this returns, a crash of the machine leaves the new one.
 *
 * @param folder - the datastore's folder
 * @param manifest - what to write
 */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  await writeFileAtomic(datastorePaths(folder).manifest, encodeManifest(manifest));
  await syncFolder(folder);
}

/** Makes renames in a folder survive a crash of the machine. Some file systems cannot sync folders; those need not. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } catch (cause) {
    if (!['EINVAL', 'ENOTSUP', 'EPERM', 'EISDIR'].includes((cause as NodeJS.ErrnoException).code ?? ''))
      throw cause;
  } finally {
    await handle.close();
  }
}

/**
 * One checksum for the content of a finished datastore: equal shapes, keys and values give equal fingerprints, so that
 * an index can tell which datastore it belongs to.
 *
 * @returns SHA-256 as 64 hexadecimal digits
 */
export function contentFingerprint(manifest: Manifest): string {
  const { rows, dimension, dtype, segmentRows, segments } = manifest;
  return createHash('sha256')
    .update(JSON.stringify([rows, dimension, dtype, segmentRows, segments.map((s) => [s.keys, s.values])]))
    .digest('hex');
}
