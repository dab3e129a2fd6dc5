import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { Packr } from 'msgpackr';
import { writeFileAtomic } from '@knn-lm/common';
import { DatastoreError, describeReadError } from './error.js';
import { normalizeIdentity, type DatastoreIdentity } from './identity.js';
import { datastorePaths, type DatastoreShape } from './layout.js';
import { checkedManifest, damaged, shown } from './manifest-check.js';

/** The manifest's format version of a datastore that was written in one go. */
export const plainVersion = 1;

/** The format version of a manifest that has any of `texts`, `appending`, `parts` and `weights`. */
export const extendedVersion = 2;

/** Most segments of one text: with a checksum of 64 digits for each array they take less than half a megabyte. */
export const maxSegments = 2048;

/** Most segments in a manifest, however many texts were appended: some three megabytes. */
export const maxAllSegments = 20_000;

/** A manifest holds {@link maxAllSegments} segments at most; a file above this size is something else. */
const maxManifestBytes = 4 * 2 ** 20;

/** A run of committed rows and the SHA-256 of their bytes in each array, as 64 hexadecimal digits. */
export interface Segment {
  /** Rows in the segment. */
  readonly rows: number;
  /** SHA-256 of the rows' bytes in `keys.npy`. */
  readonly keys: string;
  /** SHA-256 of the rows' bytes in `values.npy`. */
  readonly values: string;
}

/** A text whose entries are consecutive rows of the datastore. */
export interface DatastoreText {
  /** Its rows, which follow those of the texts before it. */
  readonly rows: number;
  /** What its rows were made from, the model included. */
  readonly identity: DatastoreIdentity;
}

/** A text that is being appended behind the finished rows; they count all the while. */
export interface AppendingText extends DatastoreText {
  /** Rows of it that are on the disk and count once all are there. */
  readonly committedRows: number;
  /** Rows of a full segment of it. */
  readonly segmentRows: number;
  /** Its committed segments. */
  readonly segments: readonly Segment[];
}

/** A datastore whose rows are read as a part of another. */
export interface DatastorePart {
  /** Its folder, relative to that of the manifest. */
  readonly folder: string;
  /** Its first rows, which are all of them unless it was appended to since. */
  readonly rows: number;
  /** The content fingerprint of these rows. */
  readonly fingerprint: string;
}

/** What `datastore.msgpack` says about the arrays beside it. */
export interface Manifest extends DatastoreShape {
  /** Version of the manifest's format. */
  readonly version: number;
  /** Rows planned; those of a text that is being appended do not count yet. */
  readonly rows: number;
  /** Rows that are on disk and count: what the arrays hold beyond them is the rest of an interrupted run. */
  readonly committedRows: number;
  /** Whether all planned rows are committed and the writer said so. */
  readonly finished: boolean;
  /** Whether a finished replacement is being moved in; true on disk only for the moment of a few renames. */
  readonly replacing: boolean;
  /** What the datastore was made from; of several texts, what they have in common. */
  readonly identity: DatastoreIdentity;
  /** Rows of a full segment of the first text. */
  readonly segmentRows: number;
  /** Committed segments in order; their rows add up to `committedRows`. No segment has rows of two texts. */
  readonly segments: readonly Segment[];
  /** The texts that the rows come from, in order, once there are several. */
  readonly texts?: readonly DatastoreText[] | undefined;
  /** The text that is being appended. */
  readonly appending?: AppendingText | undefined;
  /** The datastores whose rows these are, in order; there are no arrays beside the manifest then. */
  readonly parts?: readonly DatastorePart[] | undefined;
  /** SHA-256 of `weight.npy`, where the datastore was made with one. */
  readonly weights?: string | undefined;
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
  const { version } = fields;
  if (version !== plainVersion && version !== extendedVersion) {
    throw new DatastoreError(
      'DATASTORE_MANIFEST_VERSION',
      `${path} has format version ${shown(version)}, this program reads versions ${plainVersion} and ${extendedVersion}`,
      { hint: 'Use the version of knn-lm that made the datastore, or a newer one.', details: { path } },
    );
  }
  const { checksum, ...rest } = fields;
  if (checksum !== checksumOf(rest)) damaged(path, 'its content does not have the checksum it names');
  return checkedManifest(rest, version, path);
}

function checksumOf(fields: Record<string, unknown>): string {
  return createHash('sha256').update(packr.pack(fields)).digest('hex');
}

/** Encodes a manifest; equal manifests give equal bytes. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const { rows, committedRows, dimension, dtype, finished, replacing, segmentRows, segments } = manifest;
  const identity = normalizeIdentity(manifest.identity);
  const shape = { rows, committedRows, dimension, dtype, finished, replacing };
  const version = versionOf(manifest);
  const common = { format: formatName, version, ...shape, identity, segmentRows, segments };
  const fields = version === plainVersion ? common : { ...common, ...extensions(manifest) };
  return packr.pack({ ...fields, checksum: checksumOf(fields) });
}

/** The oldest version that can say what a manifest says. */
export function versionOf({ texts, appending, parts, weights }: Partial<Manifest>): number {
  const isPlain = [texts, appending, parts, weights].every((field) => field === undefined);
  return isPlain ? plainVersion : extendedVersion;
}

/** The fields of version 2 that are there. */
function extensions({ texts, appending, parts, weights }: Manifest): Record<string, unknown> {
  const normalized = <Text extends DatastoreText>(text: Text) => ({
    ...text,
    identity: normalizeIdentity(text.identity),
  });
  return {
    ...(texts === undefined ? {} : { texts: texts.map(normalized) }),
    ...(appending === undefined ? {} : { appending: normalized(appending) }),
    ...(parts === undefined ? {} : { parts }),
    ...(weights === undefined ? {} : { weights }),
  };
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
