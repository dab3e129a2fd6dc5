import { TextKernel, newSharedWords, type SharedWords } from './text-kernel.js';
import type { ThreadCounts } from './text-numbering.js';
import type { WordBytes } from './word-table.js';

const encoder = new TextEncoder();

/** Which words {@link SharedTable.choose} keeps. */
export interface WordChoice {
  /** Words whose ids are known, from 0 on: they are kept in any case. */
  readonly first: readonly string[];
  /** How many others are kept at most. */
  readonly most: number;
  /** Others that occur less often are not kept. */
  readonly threshold: number;
}

/** Words that were chosen; the arrays are views of the table's memory, none of which is used twice. */
export interface ChosenWords {
  /** The words behind the first ones, the most frequent first, ties by code point. */
  readonly words: WordBytes;
  /** `[words]` how often each occurred. */
  readonly counts: Float64Array;
  /** How often each of the first ones occurred. */
  readonly firstCounts: readonly number[];
  /** `[words of the table]` what the ids of the text become, -1 where a word is not kept; in memory that threads share. */
  readonly ids: Int32Array;
  /** Id in the text of a word; -1 if it did not occur. */
  readonly find: (word: string) => number;
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
   * Chooses words by what was counted.
   *
   * @throws BinarizerError `WORDS_TOO_LARGE`
   */
  choose({ first, most, threshold }: WordChoice): ChosenWords {
    const kernel = this.#kernel;
    const size = kernel.exports.wordCount();
    const sums = kernel.allocate(8 * size);
    for (const { address, length } of this.#counts.values()) {
      kernel.exports.addCounts(sums, address, Math.min(length, size));
    }
    const order = kernel.exports.sortWords(sums, size) >>> 0;
    if (order === 0) throw kernel.full();
    const mapping = kernel.allocate(4 * size);
    const keptCounts = kernel.allocate(8 * size);
    const counts = kernel.float64(sums, size);
    const ids = kernel.int32(mapping, size).fill(-1);
    const firstIds = first.map((word) => this.#find(word));
    for (const [id, found] of firstIds.entries()) if (found >= 0) ids[found] = id;
    const { keepWords } = kernel.exports;
    const kept = keepWords(order, sums, size, mapping, first.length, most, threshold, keptCounts);
    return {
      words: this.#gather(order, kept, Number(kernel.exports.keptBytes.value)),
      counts: kernel.float64(keptCounts, kept),
      firstCounts: firstIds.map((id) => (id < 0 ? 0 : counts[id])),
      ids,
      find: (word) => this.#find(word),
    };
  }

  #find(word: string): number {
    const bytes = encoder.encode(word);
    const address = this.#kernel.allocate(bytes.length);
    this.#kernel.bytes(address, bytes.length).set(bytes);
    return this.#kernel.exports.findWord(address, bytes.length);
  }

  #gather(ids: number, words: number, byteLength: number): WordBytes {
    const kernel = this.#kernel;
    const bytes = kernel.allocate(byteLength);
    const offsets = kernel.allocate(4 * (words + 1));
    kernel.exports.gatherWords(ids, words, bytes, offsets);
    return { bytes: kernel.bytes(bytes, byteLength), offsets: kernel.uint32(offsets, words + 1) };
  }
}
