import { open, type FileHandle } from 'node:fs/promises';
import { describeFileError } from '@knn-lm/common';

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
  if (range.end === undefined) {
    // Streams and decompression are loaded when they are needed: a thread begins sooner without them.
    const { StreamSource } = await import('./stream-source.js');
    return new StreamSource(range.path, signal);
  }
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

/** Whether a file that begins with these bytes is a gzip file (RFC 1952). */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}
