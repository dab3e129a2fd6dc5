import { keyAt, WordTable, type ScannedWords, type WordTableArrays } from './word-table.js';

/** Gives ids to words. */
export interface WordNumbering {
  /** Words without an id of their own so far, which were given that of `<unk>`. */
  readonly replaced: number;
  /**
   * Finds the ids of what a scan found.
   *
   * @param words - words and line ends
   * @param bytes - what was scanned
   * @param ids - `[words.count]` receives the ids; a line end has that of `</s>`
   */
  idsOf(words: ScannedWords, bytes: Uint8Array, ids: Int32Array): void;
}

/** Numbers words in the order in which it meets them, and counts them; a line counts as one `</s>`. */
export class WordCounter implements WordNumbering {
  readonly replaced = 0;
  /** The words, by id. */
  readonly table: WordTable;
  #counts: Float64Array;

  /**
   * @param words - of another thread's counter, which is not used any more
   * @param counts - how often each occurred
   */
  constructor(words?: WordTableArrays, counts: Float64Array = new Float64Array(1024)) {
    this.table = new WordTable(words);
    this.#counts = counts;
    if (words === undefined) this.table.addText('</s>');
  }

  /** How often each word occurred, by id; the view holds until more is counted. */
  get counts(): Float64Array {
    return this.#counts.subarray(0, this.table.size);
  }

  idsOf(words: ScannedWords, bytes: Uint8Array, ids: Int32Array): void {
    this.table.findAll(words, bytes, ids);
    let counts = this.#counts;
    for (let i = 0; i < words.count; i++) {
      if (ids[i] < 0) {
        ids[i] = this.#idOf(words, i, bytes);
        counts = this.#reserve();
      }
      counts[ids[i]]++;
    }
  }

  /**
   * Adds another counter's words.
   *
   * @returns the id here of each of its words
   */
  merge({ table, counts }: WordCounter): Int32Array {
    const ids = this.table.addMissing(table);
    this.#reserve();
    for (let id = 0; id < ids.length; id++) this.#counts[ids[id]] += counts[id];
    return ids;
  }

  /** Id of a word that was unknown, but may have come twice in one piece. */
  #idOf({ starts, ends, keys }: ScannedWords, i: number, bytes: Uint8Array): number {
    const key = keyAt(keys, i);
    const known = this.table.find(bytes, starts[i], ends[i], key);
    return known < 0 ? this.table.add(bytes, starts[i], ends[i], key) : known;
  }

  /** Makes room for the count of every word. */
  #reserve(): Float64Array {
    if (this.table.size > this.#counts.length) {
      const larger = new Float64Array(this.table.size * 2);
      larger.set(this.#counts);
      this.#counts = larger;
    }
    return this.#counts;
  }
}

const UNK = 3;

/** Gives words the ids of a dictionary. */
export class DictionaryNumbering implements WordNumbering {
  replaced = 0;
  readonly #table: WordTable;

  /** @param words - the dictionary's */
  constructor(words: WordTableArrays) {
    this.#table = new WordTable(words);
  }

  idsOf(words: ScannedWords, bytes: Uint8Array, ids: Int32Array): void {
    this.#table.findAll(words, bytes, ids);
    for (let i = 0; i < words.count; i++) {
      if (ids[i] >= 0) continue;
      ids[i] = UNK;
      this.replaced++;
    }
  }
}
