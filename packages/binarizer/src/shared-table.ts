import { TextKernel, newSharedWords, type SharedWords } from './text-kernel.js';
import type { ThreadCounts } from './text-numbering.js';
import type { WordBytes } from './word-table.js';

const encoder = new TextEncoder();

/** Words with their counts. */
export interface CountedWords {
  /** `[words]` ids in a dictionary's order: the most frequent word first, ties by code point. */
  readonly order: Uint32Array;
  /** `[words]` how often each occurred, by id. */
  readonly counts: Float64Array;
  /** Id of a word; -1 if it did not occur. */
  readonly find: (word: string) => number;
  /** Copies words. */
  readonly gather: (ids: Uint32Array) => WordBytes;
}

/** Words and their ids in memory that threads share: of texts as they are read, or of a dictionary. */
export class SharedTable {
  /** What other threads get. */
  readonly shared: SharedWords = newSharedWords();
  readonly #kernel = new TextKernel(this.shared);
  /** Of each thread that has counted. */
  readonly #counts = new Map<number, ThreadCounts>();

  private constructor() {
    this.#kernel.makeTable();
  }

  /** For the words of a text, which get ids in the order in which they are met; `</s>`, which ends a line, has id 0. */
  static forText(): SharedTable {
    const bytes = encoder.encode('</s>');
    return SharedTable.of({ bytes, offsets: Uint32Array.of(0, bytes.length) });
  }

  /**
   * The words of a dictionary, in the order of their ids.
   *
   * @throws BinarizerError `WORDS_TOO_LARGE`
   */
  static of({ bytes, offsets }: WordBytes): SharedTable {
    const table = new SharedTable();
    const kernel = table.#kernel;
    const words = kernel.allocate(bytes.length);
    const places = kernel.allocate(offsets.byteLength);
    kernel.bytes(words, bytes.length).set(bytes);
    kernel.uint32(places, offsets.length).set(offsets);
    if (!kernel.exports.addWords(words, places, offsets.length - 1)) throw kernel.full();
    return table;
  }

  /** Notes where a thread counts; it goes on counting there. */
  setCounts(thread: number, counts: ThreadCounts): void {
    this.#counts.set(thread, counts);
  }

  /**
   * All words that were counted.
   *
   * @throws BinarizerError `WORDS_TOO_LARGE`
   */
  counted(): CountedWords {
    const kernel = this.#kernel;
    const size = kernel.exports.wordCount();
    const sums = kernel.allocate(8 * size);
    for (const { address, length } of this.#counts.values()) {
      kernel.exports.addCounts(sums, address, Math.min(length, size));
    }
    const order = kernel.exports.sortWords(sums, size) >>> 0;
    if (order === 0) throw kernel.full();
    return {
      order: kernel.uint32(order, size).slice(),
      counts: kernel.float64(sums, size).slice(),
      find: (word) => this.#find(word),
      gather: (ids) => this.#gather(ids),
    };
  }

  #find(word: string): number {
    const bytes = encoder.encode(word);
    const address = this.#kernel.allocate(bytes.length);
    this.#kernel.bytes(address, bytes.length).set(bytes);
    return this.#kernel.exports.findWord(address, bytes.length);
  }

  #gather(ids: Uint32Array): WordBytes {
    const kernel = this.#kernel;
    const chosen = kernel.allocate(ids.byteLength);
    kernel.uint32(chosen, ids.length).set(ids);
    const byteLength = Number(kernel.exports.bytesOf(chosen, ids.length));
    const bytes = kernel.allocate(byteLength);
    const offsets = kernel.allocate(4 * (ids.length + 1));
    kernel.exports.gatherWords(chosen, ids.length, bytes, offsets);
    return {
      bytes: kernel.bytes(bytes, byteLength).slice(),
      offsets: kernel.uint32(offsets, ids.length + 1).slice(),
    };
  }
}
