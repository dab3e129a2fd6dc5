import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { CancelledError, describeFileError } from '@knn-lm/common';
import { BinarizerError } from './errors.js';
import { isGzip, PIECE_BYTES, STANDARD_INPUT, type TextSource } from './text-source.js';

/** Standard input, a named pipe, or a compressed file. */
export class StreamSource implements TextSource {
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
