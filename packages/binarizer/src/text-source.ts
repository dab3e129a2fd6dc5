import { createReadStream } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { CancelledError, describeFileError } from '@knn-lm/common';
import { BinarizerError } from './errors.js';

/** The name of standard input on a command line. */
export const STANDARD_INPUT = '-';

/** The most bytes that a source gives at a time. */
export const PIECE_BYTES = 2 ** 18;

/** A part of a text that begins and ends at line ends. */
export interface TextRange {
  readonly path: string;
  /** First byte. */
  readonly start: number;
  /** The byte after the last one; `undefined` for a text that can only be read from its beginning to its end. */
  readonly end: number | undefined;
}

/** The bytes of a text, in order. */
export interface TextSource {
  /** How many bytes of the file have been read; of a compressed one its compressed bytes. */
  readonly doneBytes: number;
  /**
   * Fills the beginning of `target`.
   *
   * @param target - at least {@link PIECE_BYTES} long
   * @returns how many bytes; 0 at the end of the text
   */
  read(target: Uint8Array): Promise<number>;
  close(): Promise<void>;
}

/**
 * Opens a range of a text.
 *
 * @param range - what to read
 * @param signal - ends waiting for a stream
 * @throws KnnLmError `FILE_…`
 */
export async function openTextSource(range: TextRange, signal?: AbortSignal): Promise<TextSource> {
  if (range.end === undefined) return new StreamSource(range.path, signal);
  try {
    return new FileSource(await open(range.path, 'r'), range.path, range.start, range.end);
  } catch (cause) {
    throw describeFileError(cause, range.path, 'read the text');
  }
}

/** A range of a file. The next piece is read while the last one is worked on. */
class FileSource implements TextSource {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #end: number;
  readonly #piece: Uint8Array;
  #position: number;
  #reading: Promise<number>;
  doneBytes = 0;

  constructor(file: FileHandle, path: string, start: number, end: number) {
    this.#file = file;
    this.#path = path;
    this.#position = start;
    this.#end = end;
    this.#piece = new Uint8Array(Math.min(PIECE_BYTES, end - start));
    this.#reading = this.#readPiece();
  }

  async read(target: Uint8Array): Promise<number> {
    const count = await this.#reading;
    target.set(this.#piece.subarray(0, count));
    this.doneBytes += count;
    this.#position += count;
    this.#reading = count === 0 ? Promise.resolve(0) : this.#readPiece();
    return count;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  #readPiece(): Promise<number> {
    const length = Math.min(this.#piece.length, this.#end - this.#position);
    if (length === 0) return Promise.resolve(0);
    const reading = this.#file.read(this.#piece, 0, length, this.#position).then(
      // A file that became shorter meanwhile ends the text, too.
      ({ bytesRead }) => bytesRead,
      (cause: unknown) => {
        throw describeFileError(cause, this.#path, 'read the text');
      },
    );
    // Thrown by the next call of `read`, if there is one.
    reading.catch(() => undefined);
    return reading;
  }
}

/** Standard input, a named pipe, or a compressed file. */
class StreamSource implements TextSource {
  readonly #path: string;
  readonly #file: ReturnType<typeof createReadStream>;
  readonly #pieces: AsyncGenerator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string, signal: AbortSignal | undefined) {
    this.#path = path;
    const options = { highWaterMark: PIECE_BYTES, signal };
    this.#file =
      path === STANDARD_INPUT
        ? createReadStream('', { ...options, fd: 0, autoClose: false })
        : createReadStream(path, options);
    this.#pieces = inflated(this.#file);
  }

  get doneBytes(): number {
    return this.#file.bytesRead;
  }

  async read(target: Uint8Array): Promise<number> {
    while (this.#rest.length === 0) {
      const next = await this.#pieces.next().catch((cause: unknown) => {
        throw readingError(cause, this.#path, this.doneBytes);
      });
      if (next.done === true) return 0;
      this.#rest = next.value;
    }
    const length = this.#rest.copy(target);
    this.#rest = this.#rest.subarray(length);
    return length;
  }

  async close(): Promise<void> {
    this.#file.destroy();
    // The stream's error, if there is one, has been thrown already.
    await this.#pieces.return(undefined).catch(() => undefined);
  }
}

/** The content of a stream; what begins with gzip's magic bytes, which are not UTF-8, is decompressed. */
async function* inflated(stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const pieces = stream[Symbol.asyncIterator]();
  const first = await pieces.next();
  if (first.done === true) return;
  const all = async function* () {
    yield first.value;
    yield* { [Symbol.asyncIterator]: () => pieces };
  };
  if (!isGzip(first.value)) {
    yield* all();
    return;
  }
  // The callback is there for the types: iterating over the last stream throws the error of any of them.
  yield* pipeline(all, createGunzip(), () => undefined) as AsyncIterable<Buffer>;
}

/** Whether a file that begins with these bytes is a gzip file (RFC 1952). */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

function readingError(cause: unknown, path: string, byteOffset: number): unknown {
  const { code, name, message } = cause as NodeJS.ErrnoException;
  if (name === 'AbortError') return new CancelledError('stopped while reading the text', { cause });
  if (code?.startsWith('Z_') !== true) return describeFileError(cause, path, 'read the text');
  return new BinarizerError(
    'TEXT_NOT_GZIP',
    `${path}: damaged gzip data before byte ${byteOffset}: ${message}`,
    {
      hint: 'Compress or copy the file again; gzip -t tells whether it is whole.',
      details: { path, byteOffset, found: message, expected: 'gzip data' },
      cause,
    },
  );
}
