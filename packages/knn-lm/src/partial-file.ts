import { constants } from 'node:fs';
import { open, rename, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { describeFileError, ensureFolder, RandomAccessFile } from '@knn-lm/common';
import { KnnError } from './errors.js';

/*
 * A partial result on disk: one line of JSON (the header), then records, appended as the work goes on:
 *
 *   uint32 unit, uint32 milliseconds that it took, uint32 bytes of the payload, payload, uint32 CRC-32 of all before it
 *
 * all little-endian. While it grows the file is called NAME.partial; it is renamed when the last record is on the disk.
 * A process that is killed leaves a file whose last record may be cut: the next one goes on before it.
 */

/** What a partial result belongs to, as plain values: text, model, settings. */
export type PartialIdentity = Readonly<Record<string, string | number | boolean | null>>;

/** First line of a partial result. */
export interface PartialHeader {
  /** What was evaluated, and how: equal for all shards of one evaluation. */
  readonly identity: PartialIdentity;
  /** What the records hold. */
  readonly content: 'scores' | 'neighbors';
  /** Into how many pieces the text was cut. */
  readonly numShards: number;
  /** Which piece this is, from 0. */
  readonly shardId: number;
  /** Into how many pieces the index was cut; 1 where it was searched whole. */
  readonly indexShards: number;
  /** Which piece of the index was searched, from 0. */
  readonly indexShard: number;
  /** First unit. */
  readonly begin: number;
  /** One behind the last unit. */
  readonly end: number;
}

const formatName = 'knn-lm partial result';
const formatVersion = 1;
const headBytes = 12;
const recordOverhead = headBytes + 4;
/** A header is under a kilobyte; what has no end of line by then is another kind of file. */
const maxHeaderBytes = 1 << 16;
/** A unit of ten thousand tokens with a thousand neighbours of twenty bytes each fits ten times. */
const maxPayloadBytes = 2 ** 31;

/** Appends records to a partial result; goes on where an interrupted process stopped. */
export class PartialFileWriter {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #header: PartialHeader;
  #nextUnit: number;
  #position: number;

  private constructor(
    path: string,
    file: FileHandle,
    state: { header: PartialHeader; next: number; at: number },
  ) {
    this.#path = path;
    this.#file = file;
    this.#header = state.header;
    this.#nextUnit = state.next;
    this.#position = state.at;
  }

  /** The unit that is to be appended next; the units before it are on the disk. */
  get nextUnit(): number {
    return this.#nextUnit;
  }

  /**
   * Opens a partial result for writing.
   *
   * @param path - final name of the file
   * @param header - what it is to hold
   * @returns `undefined` when the finished file is there already
   * @throws {@link KnnError} `PARTIAL_MISMATCH` when the file there belongs to another evaluation
   */
  static async open(path: string, header: PartialHeader): Promise<PartialFileWriter | undefined> {
    if (await exists(path)) {
      requireSame(path, readPartialHeader(path), header);
      return undefined;
    }
    const growing = `${path}.partial`;
    await ensureFolder(dirname(path));
    const state = { header, next: header.begin, at: 0 };
    if (await exists(growing)) {
      const found = tryReadHeader(growing);
      // A process that died before its first line was whole left nothing.
      if (found !== undefined) {
        requireSame(growing, found, header);
        for (const record of readRecords(growing, { tolerateEnd: true })) state.next = record.unit + 1;
        state.at = endOfRecords(growing);
      }
    }
    try {
      const file = await open(growing, constants.O_RDWR | constants.O_CREAT);
      await file.truncate(state.at);
      const writer = new PartialFileWriter(path, file, state);
      if (state.at === 0) await writer.#append(Buffer.from(headerLine(header)));
      return writer;
    } catch (cause) {
      throw describeFileError(cause, growing, 'write the partial result');
    }
  }

  /**
   * Appends the record of the next unit.
   *
   * @param payload - its content
   * @param milliseconds - how long it took
   */
  async append(payload: Uint8Array, milliseconds: number): Promise<void> {
    const record = Buffer.alloc(recordOverhead + payload.length);
    record.writeUInt32LE(this.#nextUnit, 0);
    record.writeUInt32LE(Math.min(2 ** 32 - 1, Math.round(milliseconds)), 4);
    record.writeUInt32LE(payload.length, 8);
    record.set(payload, headBytes);
    record.writeUInt32LE(crc32(record.subarray(0, -4)), record.length - 4);
    try {
      await this.#append(record);
    } catch (cause) {
      throw describeFileError(cause, `${this.#path}.partial`, 'write the partial result');
    }
    this.#nextUnit++;
  }

  async #append(bytes: Uint8Array): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#file.write(
        bytes,
        done,
        bytes.length - done,
        this.#position + done,
      );
      done += bytesWritten;
    }
    this.#position += bytes.length;
  }

  /** Gives the file its final name, once all units are in it. */
  async finish(): Promise<void> {
    if (this.#nextUnit !== this.#header.end) {
      throw new RangeError(`unit ${this.#nextUnit} of ${this.#header.end} is missing`);
    }
    try {
      await this.#file.sync();
      await this.#file.close();
      await rename(`${this.#path}.partial`, this.#path);
    } catch (cause) {
      throw describeFileError(cause, this.#path, 'write the partial result');
    }
  }

  /** Closes the file; what was appended stays, and the next writer goes on after it. */
  async close(): Promise<void> {
    await this.#file.sync().catch(() => undefined);
    await this.#file.close().catch(() => undefined);
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

function headerLine(header: PartialHeader): string {
  return `${JSON.stringify({ format: formatName, version: formatVersion, ...header })}\n`;
}

/**
 * Reads what a partial result belongs to.
 *
 * @throws {@link KnnError} `PARTIAL_FORMAT` for another kind of file
 */
export function readPartialHeader(path: string): PartialHeader {
  const header = tryReadHeader(path);
  if (header !== undefined) return header;
  throw new KnnError('PARTIAL_FORMAT', `${path} is no partial result of an evaluation`, {
    hint: 'Give the files that eval_knn_lm --partial-result wrote.',
    details: { path },
  });
}

function tryReadHeader(path: string): PartialHeader | undefined {
  const file = new RandomAccessFile(path, 'read the partial result');
  try {
    const bytes = file.readBytes(0, Math.min(file.size, maxHeaderBytes));
    const end = bytes.indexOf(10);
    if (end < 0) return undefined;
    const value = parseJson(Buffer.from(bytes.subarray(0, end)).toString('utf8'));
    return value?.['format'] === formatName && value['version'] === formatVersion && isHeader(value)
      ? pickHeader(value)
      : undefined;
  } finally {
    file.close();
  }
}

function parseJson(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isHeader(value: object): value is PartialHeader {
  const { identity, content, numShards, shardId, indexShards, indexShard, begin, end } = value as Record<
    string,
    unknown
  >;
  return (
    typeof identity === 'object' &&
    identity !== null &&
    (content === 'scores' || content === 'neighbors') &&
    [numShards, shardId, indexShards, indexShard, begin, end].every(
      (number) => Number.isSafeInteger(number) && (number as number) >= 0,
    )
  );
}

function pickHeader(value: PartialHeader): PartialHeader {
  const { identity, content, numShards, shardId, indexShards, indexShard, begin, end } = value;
  return { identity, content, numShards, shardId, indexShards, indexShard, begin, end };
}

function requireSame(path: string, found: PartialHeader, expected: PartialHeader): void {
  const { identity: identityFound, ...placeFound } = found;
  const { identity: identityExpected, ...placeExpected } = expected;
  const difference =
    firstDifference(identityFound, identityExpected) ?? firstDifference(placeFound, placeExpected);
  if (difference === undefined) return;
  throw new KnnError('PARTIAL_MISMATCH', `${path} belongs to another evaluation: ${difference}`, {
    hint: 'Write to another file, or remove this one.',
    details: { path },
  });
}

/** The first field in which two flat objects differ, in words: `lambda 0.25 there, 0.5 here`. */
export function firstDifference(
  there: Readonly<Record<string, unknown>>,
  here: Readonly<Record<string, unknown>>,
): string | undefined {
  for (const field of new Set([...Object.keys(there), ...Object.keys(here)])) {
    if (there[field] !== here[field])
      return `${field} ${String(there[field])} there, ${String(here[field])} here`;
  }
  return undefined;
}

/** One record of a partial result. */
export interface PartialRecord {
  /** Number of the unit in the whole text. */
  readonly unit: number;
  /** How long it took. */
  readonly milliseconds: number;
  /** What was written for it. */
  readonly payload: Uint8Array;
}

/**
 * Reads the records of a finished partial result, one at a time.
 *
 * @throws {@link KnnError} `PARTIAL_DAMAGED` when a record is cut, changed or missing
 */
export function readPartialRecords(path: string): Generator<PartialRecord, void> {
  return readRecords(path, { tolerateEnd: false });
}

function* readRecords(path: string, options: { tolerateEnd: boolean }): Generator<PartialRecord, void> {
  const { begin, end } = readPartialHeader(path);
  const file = new RandomAccessFile(path, 'read the partial result');
  try {
    let at = headerBytes(file);
    for (let unit = begin; unit < end; unit++) {
      const record = readRecord(file, at, unit);
      if (record === undefined) {
        if (options.tolerateEnd) return;
        throw damaged(path, at, unit);
      }
      yield record;
      at += recordOverhead + record.payload.length;
    }
    if (at !== file.size && !options.tolerateEnd) throw damaged(path, at, end);
  } finally {
    file.close();
  }
}

function headerBytes(file: RandomAccessFile): number {
  return file.readBytes(0, Math.min(file.size, maxHeaderBytes)).indexOf(10) + 1;
}

function endOfRecords(path: string): number {
  const file = new RandomAccessFile(path, 'read the partial result');
  let at = headerBytes(file);
  file.close();
  for (const { payload } of readRecords(path, { tolerateEnd: true })) at += recordOverhead + payload.length;
  return at;
}

/** The record at a place, or nothing where it is not whole or another one. */
function readRecord(file: RandomAccessFile, at: number, unit: number): PartialRecord | undefined {
  if (at + recordOverhead > file.size) return undefined;
  const head = Buffer.from(file.readBytes(at, headBytes));
  const bytes = head.readUInt32LE(8);
  if (bytes > maxPayloadBytes || at + recordOverhead + bytes > file.size) return undefined;
  if (head.readUInt32LE(0) !== unit) return undefined;
  const record = Buffer.from(file.readBytes(at, recordOverhead + bytes));
  if (crc32(record.subarray(0, -4)) !== record.readUInt32LE(record.length - 4)) return undefined;
  return { unit, milliseconds: head.readUInt32LE(4), payload: record.subarray(headBytes, -4) };
}

function damaged(path: string, at: number, unit: number): KnnError {
  return new KnnError('PARTIAL_DAMAGED', `${path}: the record of unit ${unit} at byte ${at} is damaged`, {
    hint: 'Remove the file and evaluate this shard again.',
    details: { path, byteOffset: at, unit },
  });
}
