import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { throwIfAborted } from '@knn-lm/common';
import { damaged } from './array-file.js';
import { describeReadError } from './error.js';
import type { ProblemList } from './problems.js';

/** Bytes read at a time, or one row where rows are larger; two such buffers are in use. */
const chunkBytes = 2 ** 21;

/** How an array is laid out, and what its segments should have as checksums. */
export interface ScanLayout {
  /** The first row to read; a segment begins with it. */
  readonly firstRow: number;
  /** Rows to read. */
  readonly rows: number;
  /** Bytes of a row. */
  readonly rowBytes: number;
  /** The segments that the rows are, in order; nothing without a manifest. */
  readonly segments: readonly ScanSegment[] | undefined;
}

/** Rows with one checksum. */
export interface ScanSegment {
  /** How many. */
  readonly rows: number;
  /** SHA-256 of their bytes; nothing where they are not all there. */
  readonly digest: string | undefined;
}

/** What a scan does with what it reads. */
export interface ScanTask {
  /** Stops the scan. */
  readonly signal?: AbortSignal | undefined;
  /** Receives whole rows; the buffer is reused. */
  inspect(this: void, bytes: Uint8Array<ArrayBuffer>, firstRow: number): void;
  /** Receives the number of bytes read since the last call. */
  onBytes(this: void, count: number): void;
}

/** Rows that are read together: they end where a segment ends. */
interface Chunk {
  readonly firstRow: number;
  readonly rows: number;
  readonly segment: number;
  readonly endsSegment: boolean;
}

/**
 * Reads consecutive rows of an array and checks the checksum of every segment. The next rows are read while
 * SHA-256, which is what takes the time, goes over the last ones.
 */
export async function scanArray(
  path: string,
  layout: ScanLayout,
  problems: ProblemList,
  task: ScanTask,
): Promise<void> {
  const { rowBytes, segments = [] } = layout;
  const file = await open(path, 'r');
  try {
    let hash = createHash('sha256');
    let segmentStart = layout.firstRow;
    for await (const [chunk, bytes] of readAhead(path, file, layout)) {
      throwIfAborted(task.signal, `stopped while ${path} was verified`);
      const { firstRow, rows, segment, endsSegment } = chunk;
      const digest = segments[segment]?.digest;
      if (digest !== undefined) hash.update(bytes);
      task.inspect(bytes, firstRow);
      task.onBytes(rows * rowBytes);
      if (!endsSegment) continue;
      if (digest !== undefined && hash.digest('hex') !== digest)
        problems.add({
          kind: 'checksum',
          path,
          row: segmentStart,
          message: `${path}: rows ${segmentStart} to ${firstRow + rows - 1} do not have the checksum that was committed`,
        });
      hash = createHash('sha256');
      segmentStart = firstRow + rows;
    }
  } finally {
    await file.close();
  }
}

function* chunksOf({ firstRow, rows, rowBytes, segments }: ScanLayout): Generator<Chunk> {
  const chunkRows = Math.max(1, Math.floor(chunkBytes / rowBytes));
  let row = firstRow;
  for (const [segment, { rows: count }] of (segments ?? [{ rows }]).entries()) {
    const end = row + count;
    while (row < end) {
      const taken = Math.min(chunkRows, end - row);
      yield { firstRow: row, rows: taken, segment, endsSegment: row + taken === end };
      row += taken;
    }
  }
}

/** Yields chunks with their bytes; while one is looked at, the next is read into the other buffer. */
async function* readAhead(
  path: string,
  file: FileHandle,
  layout: ScanLayout,
): AsyncGenerator<[Chunk, Uint8Array<ArrayBuffer>]> {
  const { rows, rowBytes } = layout;
  const bufferBytes = Math.min(Math.max(chunkBytes, rowBytes), rows * rowBytes);
  let [current, other] = [new Uint8Array(bufferBytes), new Uint8Array(bufferBytes)];
  const begin = async (chunk: Chunk, buffer: Uint8Array<ArrayBuffer>) => {
    const bytes = buffer.subarray(0, chunk.rows * rowBytes);
    await readFully(path, file, bytes, chunk.firstRow * rowBytes);
    return bytes;
  };
  let pending: [Chunk, Promise<Uint8Array<ArrayBuffer>>] | undefined;
  let latest: Promise<unknown> | undefined;
  try {
    for (const chunk of chunksOf(layout)) {
      const reading = begin(chunk, current);
      // Awaited in the next round; until then a failure must not count as unhandled.
      latest = reading.catch(() => undefined);
      [current, other] = [other, current];
      if (pending !== undefined) yield [pending[0], await pending[1]];
      pending = [chunk, reading];
    }
    if (pending !== undefined) yield [pending[0], await pending[1]];
  } finally {
    // The file is closed after this: no read may be under way.
    await latest;
  }
}

async function readFully(
  path: string,
  file: FileHandle,
  target: Uint8Array,
  byteOffset: number,
): Promise<void> {
  for (let done = 0; done < target.length;) {
    const { bytesRead } = await file
      .read(target, done, target.length - done, byteOffset + done)
      .catch((cause: unknown) => {
        throw describeReadError(cause, path, 'read the datastore');
      });
    if (bytesRead === 0) throw damaged(path, `it ends at byte ${byteOffset + done}: it was cut meanwhile`);
    done += bytesRead;
  }
}
