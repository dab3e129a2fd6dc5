import type { RandomAccessFile } from '@knn-lm/common';
import { pickleLimits } from './limits.js';
import { pickleFailure, type PickleFailure } from './pickle-error.js';

const CHUNK_BYTES = 64 * 1024;

/** Reads a pickle's bytes in order, in chunks, and never past its end. */
export class PickleSource {
  /** Makes an error that names the file and the current byte. */
  readonly fail: PickleFailure;
  readonly #file: RandomAccessFile;
  readonly #end: number;
  readonly #limited: boolean;
  #chunk: Uint8Array = new Uint8Array(0);
  #chunkStart: number;
  #next = 0;

  /**
   * @param file - the file
   * @param start - first byte of the pickle
   * @param end - byte after the last one that may belong to it
   */
  constructor(file: RandomAccessFile, start: number, end: number) {
    this.#file = file;
    this.#chunkStart = start;
    this.#limited = end - start > pickleLimits.bytes;
    this.#end = this.#limited ? start + pickleLimits.bytes : end;
    this.fail = pickleFailure(file.path, () => this.offset);
  }

  /** The byte that is read next, counted from the start of the file. */
  get offset(): number {
    return this.#chunkStart + this.#next;
  }

  /** One unsigned byte. */
  byte(): number {
    if (this.#next === this.#chunk.length) this.#require(1);
    return this.#chunk[this.#next++];
  }

  /** An unsigned little-endian integer of 1 to 8 bytes; above 2^53 it is not exact, but still too large for anything. */
  unsigned(byteCount: number): number {
    let value = 0;
    let weight = 1;
    for (let i = 0; i < byteCount; i++, weight *= 256) value += this.byte() * weight;
    return value;
  }

  /** A view of bytes; valid until the next read. */
  bytes(count: number): Uint8Array {
    this.#require(count);
    const start = this.#next;
    this.#next += count;
    return this.#chunk.subarray(start, this.#next);
  }

  /** Bytes up to a line feed, which is taken too; a copy. */
  line(): Uint8Array {
    const line: number[] = [];
    for (let byte = this.byte(); byte !== 10; byte = this.byte()) {
      if (line.length >= pickleLimits.lineBytes) {
        throw this.fail('PICKLE_LIMIT', `a line of more than ${pickleLimits.lineBytes} bytes`);
      }
      line.push(byte);
    }
    return Uint8Array.from(line);
  }

  /** Brings at least `count` bytes into the chunk, after checking that they exist. */
  #require(count: number): void {
    if (this.#chunk.length - this.#next >= count) return;
    const start = this.offset;
    const available = this.#end - start;
    if (count > available) {
      if (this.#limited) {
        throw this.fail(
          'PICKLE_LIMIT',
          `the pickle is longer than the limit of ${pickleLimits.bytes.toLocaleString('en')} bytes`,
        );
      }
      throw this.fail('PICKLE_TRUNCATED', `${count} more bytes are expected, but ${available} are left`);
    }
    this.#chunk = this.#file.readBytes(start, Math.min(available, Math.max(count, CHUNK_BYTES)));
    this.#chunkStart = start;
    this.#next = 0;
  }
}
