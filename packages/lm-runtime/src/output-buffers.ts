/** Sizes are multiples of this, so that a buffer fits parts of similar sizes. */
const unitBytes = 2 ** 16;

/** Buffers that wait take at most this together. */
const mostWaitingBytes = 2 ** 25;

/**
 * Memory for the outputs of runs, used again and again. V8 frees an array some time after its last use: until then the
 * outputs of many runs would lie around (15 MB during the generation of a datastore).
 */
export class OutputBuffers {
  /** Smallest first. */
  readonly #waiting: ArrayBuffer[] = [];
  #waitingBytes = 0;

  /**
   * A buffer of at least this size; what is in it is not defined.
   *
   * @param byteLength - bytes that are needed
   */
  take(byteLength: number): ArrayBuffer {
    const fitting = this.#waiting.findIndex((buffer) => buffer.byteLength >= byteLength);
    if (fitting < 0) return new ArrayBuffer(Math.max(1, Math.ceil(byteLength / unitBytes)) * unitBytes);
    const [buffer] = this.#waiting.splice(fitting, 1);
    this.#waitingBytes -= buffer.byteLength;
    return buffer;
  }

  /**
   * Gives a buffer back that nobody uses any more; one that is not from {@link OutputBuffers.take} is left to V8.
   *
   * @param buffer - the buffer, or the one that its memory was transferred to
   */
  give(buffer: ArrayBuffer): void {
    const { byteLength } = buffer;
    const isOurs = byteLength > 0 && byteLength % unitBytes === 0;
    if (!isOurs || this.#waitingBytes + byteLength > mostWaitingBytes) return;
    const larger = this.#waiting.findIndex((other) => other.byteLength > byteLength);
    this.#waiting.splice(larger < 0 ? this.#waiting.length : larger, 0, buffer);
    this.#waitingBytes += byteLength;
  }
}
