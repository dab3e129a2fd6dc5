// The zip format as .ZIP File Format Specification (APPNOTE.TXT) 6.3 gives it; sections in parentheses.
import { crc32 } from 'node:zlib';
import type { RandomAccessFile } from '@knn-lm/common';
import { CheckpointError } from '../errors.js';

/** A file in the archive, stored as it is. */
export interface ZipEntry {
  /** Name with its folders. */
  readonly name: string;
  /** First byte of the data. */
  readonly byteOffset: number;
  /** Number of bytes. */
  readonly byteLength: number;
  /** CRC-32 of the data. */
  readonly crc32: number;
}

/** The directory at the end may be this long; a checkpoint with 5,000 tensors has 500 KB. */
const MAX_DIRECTORY_BYTES = 16 * 2 ** 20;
const END_BYTES = 22;
const MAX_COMMENT_BYTES = 65_535;
const ENTRY_BYTES = 46;
const LOCAL_HEADER_BYTES = 30;
const NEEDS_ZIP64 = 0xffffffff;

/** Makes the error for an archive that breaks a rule. */
function damaged(file: RandomAccessFile, byteOffset: number, problem: string): CheckpointError {
  return new CheckpointError(
    'CHECKPOINT_ZIP',
    `${file.path}: the zip archive is damaged at byte ${byteOffset}: ${problem}`,
    { hint: 'Copy or download the checkpoint again.', details: { path: file.path, byteOffset } },
  );
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Reads bytes after checking that the file has them. */
function readAt(file: RandomAccessFile, byteOffset: number, byteLength: number, what: string): Uint8Array {
  if (byteOffset + byteLength > file.size) {
    throw damaged(
      file,
      byteOffset,
      `${what} needs ${byteLength} bytes there, but the file has ${file.size} in all`,
    );
  }
  return file.readBytes(byteOffset, byteLength);
}

interface DirectoryPlace {
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly entries: number;
}

/** Finds the directory from the record at the end of the file (4.3.16), or its 64-bit version (4.3.14, 4.3.15). */
function findDirectory(file: RandomAccessFile): DirectoryPlace {
  const tailStart = Math.max(0, file.size - END_BYTES - MAX_COMMENT_BYTES);
  const tail = Buffer.from(file.readBytes(tailStart, file.size - tailStart));
  const end = tail.lastIndexOf('PK\x05\x06', undefined, 'latin1');
  if (end < 0 || end + END_BYTES > tail.length) {
    throw new CheckpointError(
      'CHECKPOINT_TRUNCATED',
      `${file.path}: begins as a zip archive, but its directory is missing from the end (${file.size} bytes)`,
      {
        hint: 'The file is cut short; copy or download it again.',
        details: { path: file.path, size: file.size },
      },
    );
  }
  const place = {
    entries: tail.readUInt16LE(end + 10),
    byteLength: tail.readUInt32LE(end + 12),
    byteOffset: tail.readUInt32LE(end + 16),
  };
  const needs64 =
    place.byteOffset === NEEDS_ZIP64 || place.byteLength === NEEDS_ZIP64 || place.entries === 0xffff;
  // torch writes the 64-bit record always; it counts only where the short one has no room.
  return needs64 ? findDirectory64(file, tailStart + end) : place;
}

function findDirectory64(file: RandomAccessFile, end: number): DirectoryPlace {
  if (end < 20) throw damaged(file, end, 'the 64-bit directory record is missing');
  const locator = viewOf(readAt(file, end - 20, 20, 'the zip64 locator'));
  const record = Number(locator.getBigUint64(8, true));
  const view = viewOf(readAt(file, record, 56, 'the zip64 directory record'));
  if (locator.getUint32(0, true) !== 0x07064b50 || view.getUint32(0, true) !== 0x06064b50) {
    throw damaged(file, record, 'the 64-bit directory record has a wrong signature');
  }
  return {
    entries: Number(view.getBigUint64(32, true)),
    byteLength: Number(view.getBigUint64(40, true)),
    byteOffset: Number(view.getBigUint64(48, true)),
  };
}

/** Sizes and offset of an entry from the zip64 extra field (4.5.3), which holds only those that did not fit. */
function widen(file: RandomAccessFile, at: number, extra: Uint8Array, narrow: readonly number[]): number[] {
  const view = viewOf(extra);
  for (let field = 0; field + 4 <= extra.length; field += 4 + view.getUint16(field + 2, true)) {
    if (view.getUint16(field, true) !== 0x0001) continue;
    const end = Math.min(extra.length, field + 4 + view.getUint16(field + 2, true));
    let next = field + 4;
    return narrow.map((value) => {
      if (value !== NEEDS_ZIP64) return value;
      if (next + 8 > end) throw damaged(file, at, 'a zip64 field is too short');
      next += 8;
      return Number(view.getBigUint64(next - 8, true));
    });
  }
  if (narrow.includes(NEEDS_ZIP64)) throw damaged(file, at, 'a zip64 field is missing');
  return [...narrow];
}

/** Where the data of an entry begins: after its local header (4.3.7), whose name and extra have their own lengths. */
function dataOffset(file: RandomAccessFile, header: number, name: string): number {
  const view = viewOf(readAt(file, header, LOCAL_HEADER_BYTES, `the header of ${name}`));
  if (view.getUint32(0, true) !== 0x04034b50) {
    throw damaged(file, header, `the header of ${name} has a wrong signature`);
  }
  return header + LOCAL_HEADER_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
}

/**
 * Reads the directory of a zip archive whose files are stored without compression, as torch writes them.
 *
 * @param file - the archive
 * @returns its files by name, each of them checked to lie within the archive
 * @throws {@link CheckpointError} `CHECKPOINT_TRUNCATED`, `CHECKPOINT_ZIP` or `CHECKPOINT_ZIP_COMPRESSED`
 */
export function readZipDirectory(file: RandomAccessFile): Map<string, ZipEntry> {
  const place = findDirectory(file);
  if (place.byteLength > MAX_DIRECTORY_BYTES || place.entries * ENTRY_BYTES > place.byteLength) {
    throw damaged(
      file,
      place.byteOffset,
      `a directory of ${place.entries} files in ${place.byteLength} bytes is not possible`,
    );
  }
  const directory = readAt(file, place.byteOffset, place.byteLength, 'the directory');
  const view = viewOf(directory);
  const entries = new Map<string, ZipEntry>();
  for (let at = 0, i = 0; i < place.entries; i++) {
    const where = place.byteOffset + at;
    if (at + ENTRY_BYTES > directory.length || view.getUint32(at, true) !== 0x02014b50) {
      throw damaged(file, where, `entry ${i} of ${place.entries} of the directory is not there`);
    }
    const nameLength = view.getUint16(at + 28, true);
    const extraStart = at + ENTRY_BYTES + nameLength;
    const extraEnd = extraStart + view.getUint16(at + 30, true);
    if (extraEnd > directory.length) throw damaged(file, where, 'an entry is longer than the directory');
    const name = Buffer.from(directory.subarray(at + ENTRY_BYTES, extraStart)).toString('utf8');
    entries.set(name, readEntry(file, where, name, view, at, directory.subarray(extraStart, extraEnd)));
    at = extraEnd + view.getUint16(at + 32, true);
  }
  return entries;
}

function readEntry(
  file: RandomAccessFile,
  where: number,
  name: string,
  view: DataView,
  at: number,
  extra: Uint8Array,
): ZipEntry {
  const method = view.getUint16(at + 10, true);
  if (method !== 0 || (view.getUint16(at + 8, true) & 1) !== 0) {
    throw new CheckpointError(
      'CHECKPOINT_ZIP_COMPRESSED',
      `${file.path}: ${name} is compressed or encrypted (method ${method}); torch stores files as they are (method 0)`,
      {
        hint: 'Unpack the archive and zip it again with zip -0, or save the checkpoint again.',
        details: { path: file.path, byteOffset: where, method },
      },
    );
  }
  const [byteLength, stored, header] = widen(file, where, extra, [
    view.getUint32(at + 24, true),
    view.getUint32(at + 20, true),
    view.getUint32(at + 42, true),
  ]);
  const byteOffset = dataOffset(file, header, name);
  if (stored !== byteLength || byteOffset + byteLength > file.size) {
    throw damaged(file, where, `${name} has ${byteLength} bytes from byte ${byteOffset} on, beyond the file`);
  }
  return { name, byteOffset, byteLength, crc32: view.getUint32(at + 16, true) };
}

/** Bytes read at a time while a checksum is computed. */
const CHECK_BYTES = 4 * 2 ** 20;

/**
 * Compares bytes with their CRC-32. A recorded 0 is not compared: torch can be told to leave the checksum out.
 *
 * @throws {@link CheckpointError} `CHECKPOINT_CHECKSUM`
 */
export function checkCrc32(
  file: RandomAccessFile,
  extent: { byteOffset: number; byteLength: number; crc32: number | undefined },
  what: string,
): void {
  if (extent.crc32 === undefined || extent.crc32 === 0) return;
  let found = 0;
  for (let done = 0; done < extent.byteLength; done += CHECK_BYTES) {
    const count = Math.min(CHECK_BYTES, extent.byteLength - done);
    found = crc32(file.readBytes(extent.byteOffset + done, count), found);
  }
  if (found === extent.crc32) return;
  const hex = (value: number): string => value.toString(16).padStart(8, '0');
  throw new CheckpointError(
    'CHECKPOINT_CHECKSUM',
    `${file.path}: the checksum of ${what} is ${hex(found)}, but ${hex(extent.crc32)} is recorded (bytes ${extent.byteOffset} to ${extent.byteOffset + extent.byteLength})`,
    {
      hint: 'The file is damaged; copy or download it again.',
      details: { path: file.path, byteOffset: extent.byteOffset },
    },
  );
}
