import { BinarizerError } from './errors.js';

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

/** Words as UTF-8. */
export interface WordBytes {
  /** The words, one after the other. */
  readonly bytes: Uint8Array;
  /** `[words + 1]` where each word begins. */
  readonly offsets: Uint32Array;
}

/** Numbers of a slot: a hash of the word, and its id + 1; 0 there is a free slot. */
const SLOT_LENGTH = 2;

/**
 * A map from words to consecutive ids, for one word at a time: open addressing with linear probing. Holds all words in one
 * array of bytes, so that a dictionary of millions of words is no burden to the garbage collector. Its slots are made with
 * the first search: a dictionary that is only written is never searched. (Texts are looked up in a `SharedTable`.)
 */
export class WordTable {
  #bytes = new Uint8Array(1024);
  #offsets = new Uint32Array(65);
  #slots = new Int32Array(0);
  #size = 0;

  /** Number of ids. */
  get size(): number {
    return this.#size;
  }

  /** The words by id; the views hold until one is added. */
  get words(): WordBytes {
    return {
      bytes: this.#bytes.subarray(0, this.#offsets[this.#size]),
      offsets: this.#offsets.subarray(0, this.#size + 1),
    };
  }

  /** Bytes of a word; a view that holds until the next {@link WordTable.addText}. */
  word(id: number): Uint8Array {
    return this.#bytes.subarray(this.#offsets[id], this.#offsets[id + 1]);
  }

  /** A word as a string. */
  text(id: number): string {
    const { buffer, byteOffset, byteLength } = this.word(id);
    return Buffer.from(buffer, byteOffset, byteLength).toString('utf8');
  }

  /** Id of a word: of the last one that was given to it; -1 if there is none. */
  findText(text: string): number {
    const length = encode(text);
    return this.find(scratch, 0, length);
  }

  /** Id of a word of bytes, as {@link WordTable.findText} gives it. */
  find(bytes: Uint8Array, start: number, end: number): number {
    if (this.#slots.length === 0) this.#index();
    return this.#slots[this.#slotOf(bytes, start, end, hashOf(bytes, start, end)) + 1] - 1;
  }

  /**
   * Gives a word the next id, even if it has one already: the new id is the one that is found from then on.
   *
   * @returns the id
   * @throws {@link BinarizerError} `WORDS_TOO_LARGE` when the words take 4 GiB
   */
  addText(text: string): number {
    const length = encode(text);
    return this.add(scratch, 0, length);
  }

  /** Gives a word of bytes the next id, as {@link WordTable.addText} does. */
  add(bytes: Uint8Array, start: number, end: number): number {
    const id = this.#size;
    this.#reserve(1, end - start);
    let at = this.#offsets[id];
    // Words are short: a loop is faster than a view.
    for (let i = start; i < end; i++) this.#bytes[at++] = bytes[i];
    this.#offsets[id + 1] = at;
    this.#size++;
    if (this.#slots.length > 0) {
      if (isTooFull(this.#size, this.#slots.length)) this.#index();
      else this.#setSlot(id);
    }
    return id;
  }

  /**
   * Gives words the next ids, as {@link WordTable.addText} does.
   *
   * @throws {@link BinarizerError} `WORDS_TOO_LARGE`
   */
  append({ bytes, offsets }: WordBytes): void {
    const words = offsets.length - 1;
    this.#reserve(words, bytes.length);
    const start = this.#offsets[this.#size];
    this.#bytes.set(bytes, start);
    const moved = this.#offsets;
    for (let i = 1, at = this.#size + 1; i <= words; i++, at++) moved[at] = start + offsets[i];
    this.#size += words;
    // Made anew with the next search.
    this.#slots = new Int32Array(0);
  }

  /** Makes the slots, twice as many as are needed. */
  #index(): void {
    let length = 64 * SLOT_LENGTH;
    while (isTooFull(this.#size, length)) length *= 2;
    this.#slots = new Int32Array(2 * length);
    for (let id = 0; id < this.#size; id++) this.#setSlot(id);
  }

  #setSlot(id: number): void {
    const [start, end] = [this.#offsets[id], this.#offsets[id + 1]];
    const hash = hashOf(this.#bytes, start, end);
    const slot = this.#slotOf(this.#bytes, start, end, hash);
    this.#slots[slot] = hash;
    this.#slots[slot + 1] = id + 1;
  }

  /** Index of a word's slot, or of the free slot where it belongs. */
  #slotOf(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    const last = slots.length - SLOT_LENGTH;
    let slot = (hash * SLOT_LENGTH) & last;
    while (slots[slot + 1] !== 0) {
      if (slots[slot] === hash && this.#equals(slots[slot + 1] - 1, bytes, start, end)) return slot;
      slot = (slot + SLOT_LENGTH) & last;
    }
    return slot;
  }

  #equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const first = this.#offsets[id];
    if (this.#offsets[id + 1] - first !== end - start) return false;
    for (let i = start, j = first; i < end; i++, j++) if (this.#bytes[j] !== bytes[i]) return false;
    return true;
  }

  #reserve(words: number, byteLength: number): void {
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
    if (this.#size + words >= this.#offsets.length) {
      const grown = new Uint32Array((this.#size + words) * 2 + 1);
      grown.set(this.#offsets);
      this.#offsets = grown;
    }
  }
}

/** Slots are at most three quarters full, so that probes stay short. */
function isTooFull(words: number, slotsLength: number): boolean {
  return words * SLOT_LENGTH * 4 > slotsLength * 3;
}

/** FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv), its upper bits mixed into the lower ones. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ bytes[i], 0x01000193);
  return hash ^ (hash >>> 15);
}
