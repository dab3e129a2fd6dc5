import { ArrayFile, damaged } from './array-file.js';
import { datastorePaths, keyBytes, valueBytes } from './layout.js';
import type { Manifest } from './manifest.js';
import { SegmentChecksums } from './segments.js';
import { writingOf, type Writing } from './writing.js';

/** Both arrays, open at the last commit, and the checksums up to there. */
export interface CommittedArrays {
  /** `keys.npy`. */
  readonly keys: ArrayFile;
  /** `values.npy`. */
  readonly values: ArrayFile;
  /** Checksums of all committed rows of what is written. */
  readonly checksums: SegmentChecksums;
}

/**
 * Opens both arrays, cuts off what lies beyond the last commit, and checks the last segment against its checksum.
 *
 * @throws {@link DatastoreError} `DATASTORE_DAMAGED`
 */
export async function openCommittedArrays(folder: string, manifest: Manifest): Promise<CommittedArrays> {
  const paths = datastorePaths(folder);
  const writing = writingOf(manifest);
  const rowBytes = keyBytes(manifest);
  const rows = writing.baseRows + writing.committedRows;
  const keys = await ArrayFile.open(paths.keys, rows * rowBytes);
  try {
    const values = await ArrayFile.open(paths.values, rows * valueBytes);
    try {
      return { keys, values, checksums: await checkLastSegment(writing, rowBytes, keys, values) };
    } catch (error) {
      await values.close();
      throw error;
    }
  } catch (error) {
    await keys.close();
    throw error;
  }
}

async function checkLastSegment(
  { baseRows, segments, segmentRows, committedRows }: Writing,
  rowBytes: number,
  keys: ArrayFile,
  values: ArrayFile,
): Promise<SegmentChecksums> {
  if (segments.length === 0) return new SegmentChecksums(segmentRows);
  const last = segments[segments.length - 1];
  const end = baseRows + committedRows;
  const firstRow = end - last.rows;
  const checksums = new SegmentChecksums(segmentRows, segments.slice(0, -1));
  for await (const bytes of keys.read(firstRow * rowBytes, last.rows * rowBytes)) checksums.addKeys(bytes);
  for await (const bytes of values.read(firstRow * valueBytes, last.rows * valueBytes))
    checksums.addValues(bytes);
  checksums.endRows(last.rows);
  const found = checksums.snapshot()[segments.length - 1];
  for (const [file, array] of [
    [keys, 'keys'],
    [values, 'values'],
  ] as const) {
    if (found[array] === last[array]) continue;
    throw damaged(file.path, `rows ${firstRow} to ${end - 1} do not have the checksum that was committed`);
  }
  return checksums;
}
