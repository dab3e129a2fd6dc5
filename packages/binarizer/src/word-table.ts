import { BinarizerError } from './errors.js';
import { WHOLE_KEY_BYTES, wordKey, type WordKey } from './word-key.js';

const encoder = new TextEncoder();

/** An array for each word would keep the garbage collector busy. */
let scratch = new Uint8Array(1024);

/** Encodes into {@link scratch}; returns the number of bytes. */
function encode(text: string): number {
  if (scratch.length < text.length * 3) scratch = new Uint8Array(text.length * 3);
  return encoder.encodeInto(text, scratch).written;
}

/** Offsets into the words' bytes are 32-bit. */
const MAX_BYTES = 2 ** 32 - 1;

/** The arrays of a {@link WordTable}, which can be shared with or moved to another thread. */
export interface WordTableArrays {
  /** The words, one after the other. */
  readonly bytes: Uint8Array;
  /** `[size + 1]` where each word begins. */
  readonly offsets: Uint32Array;
  /** `[slots, 4]` key of a word (a, b, c), and its id + 1; 0 there is a free slot. */
  readonly slots: Int32Array;
  readonly size: number;
}

/** Words and line ends in a piece of a text. */
export interface ScannedWords {
  /** First byte of each word. */
  readonly starts: Int32Array;
  /** Byte after each word. */
  readonly ends: Int32Array;
  /** `[count, 3]` key of each: a, b and c of {@link WordKey}. */
  readonly keys: Int32Array;
  /** How many there are. */
  readonly count: number;
}

/** Numbers of a slot. */
const SLOT_LENGTH = 4;

/**
 * A map from words, as UTF-8 bytes, to consecutive ids: open addressing with linear probing over the keys of the
 * scanner. Holds all words in one array of bytes, so that a word is looked up without making a string
 * (WikiText-103 has 103 million of them, and 267,735 different ones). A slot of 16 bytes has all that most lookups need, so
 * that one costs one cache miss: misses are what time goes into.
 */
export class WordTable {
  #bytes: Uint8Array;
  #offsets: Uint32Array;
  #slots: Int32Array;
  #size: number;

  constructor(arrays?: WordTableArrays) {
    this.#bytes = arrays?.bytes ?? new Uint8Array(1024);
    this.#offsets = arrays?.offsets ?? new Uint32Array(65);
    this.#slots = arrays?.slots ?? new Int32Array(64 * SLOT_LENGTH);
    this.#size = arrays?.size ?? 0;
  }

  /**
   * A table with room for as many words as another one has. Its words can be found from the first search on: a dictionary
   * that is only written is never searched.
   */
  static sizedLike(other: WordTable): WordTable {
    return new WordTable({
      bytes: new Uint8Array(other.#bytes.length),
      offsets: new Uint32Array(other.#offsets.length),
      slots: new Int32Array(0),
      size: 0,
    });
  }

  /** Number of ids. */
  get size(): number {
    return this.#size;
  }

  /** The arrays behind the table; a table made from them may be read, not added to, while another one holds them. */
  get arrays(): WordTableArrays {
    this.#index();
    return { bytes: this.#bytes, offsets: this.#offsets, slots: this.#slots, size: this.#size };
  }

  /** Bytes of a word; a view that holds until the next {@link WordTable.add}. */
  word(id: number): Uint8Array {
    return this.#bytes.subarray(this.#offsets[id], this.#offsets[id + 1]);
  }

  /** A word as a string. */
  text(id: number): string {
    const { buffer, byteOffset, byteLength } = this.word(id);
    return Buffer.from(buffer, byteOffset, byteLength).toString('utf8');
  }

  /** Four bytes of a word from a position on, as one big-endian number; bytes after its end are 0. */
  fourBytes(id: number, position: number): number {
    const bytes = this.#bytes;
    const end = this.#offsets[id + 1];
    let value = 0;
    for (let i = this.#offsets[id] + position, last = i + 4; i < last; i++) {
      value = (value << 8) | (i < end ? bytes[i] : 0);
    }
    return value >>> 0;
  }

  /** Below, at or above 0 as a word's bytes come before, equal or come after another's. */
  compare(id: number, other: number): number {
    const bytes = this.#bytes;
    const length = this.#offsets[id + 1] - this.#offsets[id];
    const otherLength = this.#offsets[other + 1] - this.#offsets[other];
    const common = Math.min(length, otherLength);
    for (let i = this.#offsets[id], j = this.#offsets[other], end = i + common; i < end; i++, j++) {
      if (bytes[i] !== bytes[j]) return bytes[i] - bytes[j];
    }
    return length - otherLength;
  }

  /**
   * Finds the ids of many words. The first loop, which has no branches, looks where most words are found at once: the
   * processor then waits for many slots at a time (three times as fast as {@link WordTable.find} for each word).
   *
   * @param words - words and line ends, which are found as `</s>`
   * @param bytes - what the words' positions point into
   * @param ids - `[words.count]` receives the ids; -1 for an unknown word
   */
  findAll({ starts, ends, keys, count }: ScannedWords, bytes: Uint8Array, ids: Int32Array): void {
    this.#index();
    const slots = this.#slots;
    for (let i = 0, key = 0; i < count; i++, key += 3) {
      const a = keys[key];
      const b = keys[key + 1];
      const c = keys[key + 2];
      const slot = firstSlot(slots, a, b, c);
      const difference = (slots[slot] ^ a) | (slots[slot + 1] ^ b) | (slots[slot + 2] ^ c);
      // -1 unless there is no difference.
      ids[i] = (slots[slot + 3] - 1) | ((difference | -difference) >> 31);
    }
    for (let i = 0; i < count; i++) {
      if (ids[i] < 0 || ends[i] - starts[i] > WHOLE_KEY_BYTES) {
        ids[i] = this.find(bytes, starts[i], ends[i], keyAt(keys, i));
      }
    }
  }

  /**
   * Id of a word.
   *
   * @param bytes - holds the word
   * @param start - its first byte
   * @param end - the byte after it
   * @param key - its {@link wordKey}
   * @returns the id, or -1
   */
  find(bytes: Uint8Array, start: number, end: number, key = wordKey(bytes, start, end)): number {
    this.#index();
    return this.#slots[this.#slotOf(bytes, start, end, key) + 3] - 1;
  }

  /** {@link WordTable.find} for a string. */
  findText(text: string): number {
    const end = encode(text);
    return this.find(scratch, 0, end);
  }

  /**
   * Gives a word the next id, even if it has one already: the new id is the one that is found from then on.
   *
   * @returns the id
   * @throws {@link BinarizerError} `WORDS_TOO_LARGE` when the words take 4 GiB
   */
  add(bytes: Uint8Array, start: number, end: number, key = wordKey(bytes, start, end)): number {
    const id = this.#append(bytes, start, end);
    if (this.#isIndexed) this.#setSlot(bytes, start, end, key, id);
    return id;
  }

  /** {@link WordTable.add} for a word of another table. */
  addWordOf(other: WordTable, id: number): number {
    const start = other.#offsets[id];
    const end = other.#offsets[id + 1];
    return this.#isIndexed ? this.add(other.#bytes, start, end) : this.#append(other.#bytes, start, end);
  }

  /** {@link WordTable.add} for a string. */
  addText(text: string): number {
    const end = encode(text);
    return this.add(scratch, 0, end);
  }

  /**
   * Adds the words of another table that this one does not have. Goes through the other's slots in their order, which is
   * nearly the order in which they lie here: memory is read from beginning to end.
   *
   * @returns `[other.size]` the id here of each word
   */
  addMissing(other: WordTable): Int32Array {
    other.#index();
    const ids = new Int32Array(other.size);
    const slots = other.#slots;
    for (let slot = 0; slot < slots.length; slot += SLOT_LENGTH) {
      const id = slots[slot + 3] - 1;
      if (id < 0) continue;
      const key = { a: slots[slot], b: slots[slot + 1], c: slots[slot + 2] };
      const start = other.#offsets[id];
      const end = other.#offsets[id + 1];
      const found = this.find(other.#bytes, start, end, key);
      ids[id] = found < 0 ? this.add(other.#bytes, start, end, key) : found;
    }
    return ids;
  }

  get #isIndexed(): boolean {
    return this.#slots.length > 0;
  }

  /** Makes the slots of a table that has none. */
  #index(): void {
    if (this.#isIndexed) return;
    let length = 64 * SLOT_LENGTH;
    while (isTooFull(this.#size, length)) length *= 2;
    this.#slots = new Int32Array(length).fill(0);
    for (let id = 0; id < this.#size; id++) {
      const start = this.#offsets[id];
      const end = this.#offsets[id + 1];
      this.#setSlot(this.#bytes, start, end, wordKey(this.#bytes, start, end), id);
    }
  }

  #append(bytes: Uint8Array, start: number, end: number): number {
    const id = this.#size;
    this.#reserve(end - start);
    const first = this.#offsets[id];
    // A word is short: a loop is faster than a view of its bytes.
    for (let i = start; i < end; i++) this.#bytes[first + i - start] = bytes[i];
    this.#offsets[id + 1] = first + (end - start);
    this.#size = id + 1;
    return id;
  }

  #setSlot(bytes: Uint8Array, start: number, end: number, key: WordKey, id: number): void {
    const slot = this.#slotOf(bytes, start, end, key);
    this.#slots[slot] = key.a;
    this.#slots[slot + 1] = key.b;
    this.#slots[slot + 2] = key.c;
    this.#slots[slot + 3] = id + 1;
  }

  /** Index in {@link WordTableArrays.slots} of a word, or of the free slot where it belongs. */
  #slotOf(bytes: Uint8Array, start: number, end: number, { a, b, c }: WordKey): number {
    const slots = this.#slots;
    const isWhole = end - start <= WHOLE_KEY_BYTES;
    let slot = firstSlot(slots, a, b, c);
    for (let next = slots[slot + 3]; next !== 0; next = slots[slot + 3]) {
      const isEqual = slots[slot] === a && slots[slot + 1] === b && slots[slot + 2] === c;
      if (isEqual && (isWhole || this.#equals(next - 1, bytes, start, end))) return slot;
      slot = (slot + SLOT_LENGTH) & (slots.length - 1);
    }
    return slot;
  }

  #equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const words = this.#bytes;
    const first = this.#offsets[id];
    if (this.#offsets[id + 1] - first !== end - start) return false;
    for (let i = start, j = first; i < end; i++, j++) if (words[j] !== bytes[i]) return false;
    return true;
  }

  #reserve(byteLength: number): void {
    const needed = this.#offsets[this.#size] + byteLength;
    if (needed > MAX_BYTES) {
      throw new BinarizerError('WORDS_TOO_LARGE', `the different words take more than ${MAX_BYTES} bytes`, {
        hint: 'Is this a text of words? Split longer units before preprocessing.',
        details: { found: needed, expected: MAX_BYTES },
      });
    }
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(MAX_BYTES, Math.max(needed, this.#bytes.length * 2)));
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    if (this.#size + 1 === this.#offsets.length) {
      const grown = new Uint32Array(this.#size * 2 + 1);
      grown.set(this.#offsets);
      this.#offsets = grown;
    }
    if (this.#isIndexed && isTooFull(this.#size + 1, this.#slots.length)) this.#slots = doubled(this.#slots);
  }
}

/** Slots are at most three quarters full, so that probes stay short. */
function isTooFull(words: number, slotsLength: number): boolean {
  return words * SLOT_LENGTH * 4 > slotsLength * 3;
}

function doubled(slots: Int32Array): Int32Array {
  // Filled, because a page that is read before it is written costs two faults, of which the second stops the other threads.
  const larger = new Int32Array(slots.length * 2).fill(0);
  for (let from = 0; from < slots.length; from += SLOT_LENGTH) {
    if (slots[from + 3] === 0) continue;
    let slot = firstSlot(larger, slots[from], slots[from + 1], slots[from + 2]);
    while (larger[slot + 3] !== 0) slot = (slot + SLOT_LENGTH) & (larger.length - 1);
    for (let i = 0; i < SLOT_LENGTH; i++) larger[slot + i] = slots[from + i];
  }
  return larger;
}

/** The key of a scanned word. */
export function keyAt(keys: Int32Array, i: number): WordKey {
  return { a: keys[3 * i], b: keys[3 * i + 1], c: keys[3 * i + 2] };
}

/** Where the search for a word begins: all bits of the key take part (multipliers: golden ratio, and MurmurHash3's). */
function firstSlot(slots: Int32Array, a: number, b: number, c: number): number {
  const mixed = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ c;
  return (Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35) ^ (mixed >>> 13)) & (slots.length - SLOT_LENGTH);
}
