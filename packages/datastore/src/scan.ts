import { createHash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { throwIfAborted, type RandomAccessFile } from '@knn-lm/common';
import type { ProblemList } from './problems.js';

/** Bytes read at a time, or one row where rows are larger. */
const chunkBytes = 2 ** 20;

/** How an array is laid out, and what its segments should have as checksums. */
export interface ScanLayout {
  /** Rows to read. */
  readonly rows: number;
  /** Bytes of a row. */
  readonly rowBytes: number;
  /** Rows of a full segment; nothing without a manifest. */
  readonly segmentRows: number | undefined;
  /** SHA-256 of each segment; nothing without a manifest. */
  readonly digests: readonly string[] | undefined;
}

/** What a scan does with what it reads. */
export interface ScanTask {
  /** Stops the scan. */
  readonly signal?: AbortSignal | undefined;
  /** Receives whole rows; the buffer is reused. */
  inspect(this: void, bytes: Uint8Array<ArrayBuffer>, firstRow: number): void;
  /** Receives the bytes read so far. */
  onBytes(this: void, done: number): void;
}

/** Reads an array from its first row to its last, in one buffer, and checks the checksum of every segment. */
export async function scanArray(
  file: RandomAccessFile,
  layout: ScanLayout,
  problems: ProblemList,
  task: ScanTask,
): Promise<void> {
  const { rows, rowBytes, segmentRows = Infinity, digests = [] } = layout;
  const chunkRows = Math.max(1, Math.floor(chunkBytes / rowBytes));
  const buffer = new Uint8Array(Math.min(chunkRows, rows) * rowBytes);
  let hash = createHash('sha256');
  let segment = 0;
  for (let row = 0; row < rows;) {
    await setImmediate();
    throwIfAborted(task.signal, `stopped while ${file.path} was verified`);
    const segmentEnd = Math.min((segment + 1) * segmentRows, rows);
    const count = Math.min(chunkRows, segmentEnd - row);
    const bytes = buffer.subarray(0, count * rowBytes);
    file.read(bytes, row * rowBytes);
    if (segment < digests.length) hash.update(bytes);
    task.inspect(bytes, row);
    row += count;
    task.onBytes(row * rowBytes);
    if (row < segmentEnd) continue;
    const firstRow = segment * segmentRows;
    if (segment < digests.length && hash.digest('hex') !== digests[segment])
      problems.add({
        kind: 'checksum',
        path: file.path,
        row: firstRow,
        message: `${file.path}: rows ${firstRow} to ${row - 1} do not have the checksum that was committed`,
      });
    hash = createHash('sha256');
    segment++;
  }
}
