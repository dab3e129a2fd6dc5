import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { EnginePart } from './engine.js';
import { DatastoreError } from './error.js';
import { prefixFingerprint } from './fingerprint.js';
import { datastorePaths } from './layout.js';
import { readManifest, type DatastorePart, type Manifest } from './manifest.js';

/** A folder whose arrays hold rows of a datastore. */
export interface ResolvedPart extends EnginePart {
  /** The folder. */
  readonly folder: string;
  /** Its own manifest; `undefined` for a datastore made by the Python tools. */
  readonly manifest: Manifest | undefined;
}

/**
 * The folders whose arrays hold the rows of a datastore: its own, or those of its parts, which must be what they were
 * when they were listed.
 *
 * @param folder - the datastore's
 * @param manifest - its manifest, if it has one
 * @param rows - its rows
 * @throws {@link DatastoreError} `DATASTORE_NOT_FOUND`, `DATASTORE_PART_CHANGED`
 */
export async function resolveParts(
  folder: string,
  manifest: Manifest | undefined,
  rows: number,
): Promise<readonly ResolvedPart[]> {
  return Promise.all(partResolvers(folder, manifest, rows).map((resolve) => resolve()));
}

/** As {@link resolveParts}, one part at a time. */
export function partResolvers(
  folder: string,
  manifest: Manifest | undefined,
  rows: number,
): readonly (() => Promise<ResolvedPart>)[] {
  const { parts } = manifest ?? {};
  if (manifest === undefined || parts === undefined)
    return [() => Promise.resolve({ folder, manifest, rows, ...pathsOf(folder) })];
  // The folders are relative to where the list really is, not to a link to it.
  const base = realpathSync(folder);
  return parts.map((part) => () => resolvePart(base, part, manifest));
}

async function resolvePart(base: string, part: DatastorePart, whole: Manifest): Promise<ResolvedPart> {
  const folder = join(base, part.folder);
  const manifest = await readManifest(folder);
  if (manifest === undefined) {
    throw new DatastoreError(
      'DATASTORE_NOT_FOUND',
      `${folder}, a part of the datastore ${base}, is not there`,
      {
        hint: 'Put the part back, or merge the parts again (merge_datastore --link).',
        details: { folder, path: datastorePaths(folder).manifest },
      },
    );
  }
  const found = fingerprintOfFirst(manifest, part.rows);
  const { dimension, dtype } = manifest;
  if (found === part.fingerprint && dimension === whole.dimension && dtype === whole.dtype)
    return { folder, manifest, rows: part.rows, ...pathsOf(folder) };
  throw new DatastoreError(
    'DATASTORE_PART_CHANGED',
    `${folder} is not what it was when it became a part of ${base}: its content was ${part.fingerprint}, it is ${found ?? 'unfinished or another number of rows'}`,
    {
      hint: 'Put the part back, or merge the parts again (merge_datastore --link --overwrite).',
      details: { folder, found, expected: part.fingerprint },
    },
  );
}

/** What was appended to a part since is not in the list; its rows before are the same. */
function fingerprintOfFirst(manifest: Manifest, rows: number): string | undefined {
  if (!manifest.finished || manifest.parts !== undefined) return undefined;
  return prefixFingerprint(manifest, rows);
}

function pathsOf(folder: string): Pick<EnginePart, 'keys' | 'values'> {
  const { keys, values } = datastorePaths(folder);
  return { keys, values };
}
