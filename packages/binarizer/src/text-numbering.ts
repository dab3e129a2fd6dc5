import { throwIfAborted } from '@knn-lm/common';
import { TextKernel, type SharedWords } from './text-kernel.js';
import { openTextSource, PIECE_BYTES, type TextRange } from './text-source.js';
import { notUtf8 } from './utf8.js';

/** How reading a text is watched and stopped. */
export interface ScanControl {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes of the file read since the last call. */
  readonly onBytes?: ((byteCount: number) => void) | undefined;
}

/** Ids of a piece of a text. The arrays hold until the next piece is asked for. */
export interface NumberedPiece {
  /** `[tokens]` an id for each word and one of `</s>` for each line end. */
  readonly ids: Int32Array;
  /** `[sentences]` tokens of each sentence that ends in the piece; of the first one those in this piece. */
  readonly sizes: Int32Array;
  /** Tokens of the piece after the last of these sentences. */
  readonly openTokens: number;
  /** Words that were given the id of `<unk>`. */
  readonly replaced: number;
}

/** Where a thread counts words: `[length]` uint64 in the table's memory, by id. */
export interface ThreadCounts {
  readonly address: number;
  readonly length: number;
}

/**
 * A thread's part in giving ids to words: cuts UTF-8 text into words and lines as fairseq does (words are separated by
 * Python's white space, lines by the line ends of Python's text mode), and looks the words up.
 */
export class TextNumbering {
  readonly #kernel: TextKernel;
  #input: number;
  #inputBytes = 2 * PIECE_BYTES;

  /**
   * @param shared - the table
   * @throws BinarizerError `WORDS_TOO_LARGE`
   */
  constructor(shared: SharedWords) {
    this.#kernel = new TextKernel(shared);
    if (!this.#kernel.exports.openThread()) throw this.#kernel.full();
    this.#input = this.#kernel.allocate(this.#inputBytes);
  }

  /** How often this thread met each word since it was begun. */
  get counts(): ThreadCounts {
    const { counts, countsLength } = this.#kernel.exports;
    return { address: counts.value >>> 0, length: countsLength.value >>> 0 };
  }

  /**
   * Reads a range of a text in pieces and gives ids to its words. Memory: half a megabyte, and four times the longest word.
   *
   * @param range - what to read
   * @param isCounting - whether an unknown word gets an id of its own, and words are counted; otherwise it is `<unk>`
   * @param control - stops it between two pieces
   * @throws BinarizerError `TEXT_NOT_UTF8`, `TEXT_NOT_GZIP`, `WORDS_TOO_LARGE`
   * @throws KnnLmError `FILE_…`; CancelledError
   */
  async *number(
    range: TextRange,
    isCounting: boolean,
    { signal, onBytes }: ScanControl = {},
  ): AsyncGenerator<NumberedPiece> {
    const { exports } = this.#kernel;
    const source = await openTextSource(range, signal);
    try {
      exports.beginText();
      let byteOffset = range.start;
      let filled = 0;
      for (let isLast = false; !isLast;) {
        throwIfAborted(signal, `stopped while reading ${range.path}`);
        const before = source.doneBytes;
        this.#reserve(filled);
        const input = this.#kernel.bytes(this.#input, this.#inputBytes);
        const byteCount = await source.read(input.subarray(filled));
        filled += byteCount;
        isLast = byteCount === 0;
        if (source.doneBytes > before) onBytes?.(source.doneBytes - before);
        const end = this.#input + filled;
        let used = this.#input;
        do {
          used = exports.number(used, end, isLast, isCounting) >>> 0;
          this.#check(range.path, byteOffset - this.#input);
          if (exports.count.value > 0) yield this.#piece();
        } while (exports.count.value > 0);
        used -= this.#input;
        input.copyWithin(0, used, filled);
        byteOffset += used;
        filled -= used;
      }
    } finally {
      await source.close();
    }
  }

  #piece(): NumberedPiece {
    const { ids, count, sizes, sentences, openTokens, replaced } = this.#kernel.exports;
    return {
      ids: this.#kernel.int32(ids.value >>> 0, count.value),
      sizes: this.#kernel.int32(sizes.value >>> 0, sentences.value),
      openTokens: openTokens.value,
      replaced: replaced.value,
    };
  }

  /** @param origin - byte of the text less its address */
  #check(path: string, origin: number): void {
    const { invalid, isFull } = this.#kernel.exports;
    const address = invalid.value >>> 0;
    if (address !== 0) throw notUtf8(path, origin + address, this.#kernel.bytes(address, 1)[0]);
    if (isFull.value !== 0) throw this.#kernel.full();
  }

  /** Makes room for a piece: one word may fill most of what there is. */
  #reserve(filled: number): void {
    if (this.#inputBytes - filled >= PIECE_BYTES) return;
    const larger = this.#kernel.allocate(2 * this.#inputBytes);
    this.#kernel.bytes(larger, filled).set(this.#kernel.bytes(this.#input, filled));
    this.#input = larger;
    this.#inputBytes *= 2;
  }
}
