import { LINE_END, type LineScanner } from './line-scanner.js';
import { hashBytes, WordTable } from './word-table.js';

const eosWord = new TextEncoder().encode('</s>');

/** Counts words and lines; a line counts as one `</s>`. Memory: the different words. */
export class WordCounter {
  /** The words, by id. */
  readonly table = new WordTable();
  #counts = new Float64Array(1024);
  /** Words and line ends. */
  tokenCount = 0;

  /** How often each word occurred, by id; the view holds until more is counted. */
  get counts(): Float64Array {
    return this.#counts.subarray(0, this.table.size);
  }

  /** Counts what a scan found. */
  count(scanner: LineScanner, bytes: Uint8Array): void {
    const { starts, ends, hashes } = scanner;
    let lines = 0;
    for (let i = 0; i < scanner.count; i++) {
      if (starts[i] === LINE_END) lines++;
      else this.add(bytes, starts[i], ends[i], hashes[i], 1);
    }
    if (lines > 0) this.add(eosWord, 0, eosWord.length, hashBytes(eosWord, 0, eosWord.length), lines);
    this.tokenCount += scanner.count;
  }

  /** Adds another counter's words. */
  merge(table: WordTable, counts: Float64Array): void {
    for (let id = 0; id < table.size; id++) {
      const word = table.word(id);
      this.add(word, 0, word.length, table.hash(id), counts[id]);
    }
  }

  /** Counts a word `times` times. */
  add(bytes: Uint8Array, start: number, end: number, hash: number, times: number): void {
    let id = this.table.find(bytes, start, end, hash);
    if (id < 0) {
      id = this.table.add(bytes, start, end, hash);
      if (id === this.#counts.length) this.#grow();
    }
    this.#counts[id] += times;
  }

  #grow(): void {
    const larger = new Float64Array(this.#counts.length * 2);
    larger.set(this.#counts);
    this.#counts = larger;
  }
}
