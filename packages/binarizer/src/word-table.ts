import { BinarizerError } from './errors.js';

/** FNV-1a's offset basis, as a signed 32-bit number. */
export const hashSeed = 0x811c9dc5 | 0;

/** One byte of FNV-1a: http://www.isthe.com/chongo/tech/comp/fnv. */
export function hashStep(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x01000193);
}

/** FNV-1a of a range of bytes. */
export function hashBytes(bytes: Uint8Array, start: number, end: number): number {
  let hash = hashSeed;
  for (let i = start; i < end; i++) hash = hashStep(hash, bytes[i]);
  return hash;
}

const encoder = new TextEncoder();

/** An array for each word would keep the garbage collector busy. */
let scratch = new Uint8Array(1024);

/** Encodes into {@link scratch}; returns the number of bytes. */
function encode(text: string): number {
  if (scratch.length < text.length * 3) scratch = new Uint8Array(text.length * 3);
  return encoder.encodeInto(text, scratch).written;
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Offsets into the words' bytes are 32-bit. */
const MAX_BYTES = 2 ** 32 - 1;

/** The arrays of a {@link WordTable}, which can be shared with or moved to another thread. */
export interface WordTableArrays {
  readonly bytes: Uint8Array;
  readonly offsets: Uint32Array;
  readonly hashes: Int32Array;
  readonly slots: Int32Array;
  readonly size: number;
}

/**
 * A map from words, as UTF-8 bytes, to consecutive ids: open addressing with linear probing over the hashes of the
 * scanner. Holds all words in one array of bytes, so that a word is looked up without making a string
 * (WikiText-103 has 103 million of them, and 267,735 different ones).
 */
export class WordTable {
  #bytes: Uint8Array;
  /** The same bytes, for their fast way to strings. */
  #buffer: Buffer;
  #offsets: Uint32Array;
  #hashes: Int32Array;
  #slots: Int32Array;
  #size: number;
  /** Ids whose word was given a later id by {@link WordTable.add}. */
  readonly #shadowed = new Set<number>();

  constructor(arrays?: WordTableArrays) {
    this.#bytes = arrays?.bytes ?? new Uint8Array(1024);
    this.#buffer = bufferOf(this.#bytes);
    this.#offsets = arrays?.offsets ?? new Uint32Array(65);
    this.#hashes = arrays?.hashes ?? new Int32Array(64);
    this.#slots = arrays?.slots ?? new Int32Array(128).fill(-1);
    this.#size = arrays?.size ?? 0;
  }

  /** Number of ids. */
  get size(): number {
    return this.#size;
  }

  /** The arrays behind the table; a table made from them may be read, not added to, while another one holds them. */
  get arrays(): WordTableArrays {
    return {
      bytes: this.#bytes,
      offsets: this.#offsets,
      hashes: this.#hashes,
      slots: this.#slots,
      size: this.#size,
    };
  }

  /** Bytes of a word; a view that holds until the next {@link WordTable.add}. */
  word(id: number): Uint8Array {
    return this.#bytes.subarray(this.#offsets[id], this.#offsets[id + 1]);
  }

  /** A word as a string. */
  text(id: number): string {
    return this.#buffer.toString('utf8', this.#offsets[id], this.#offsets[id + 1]);
  }

  /** Hash of a word. */
  hash(id: number): number {
    return this.#hashes[id];
  }

  /**
   * Id of a word.
   *
   * @param bytes - holds the word
   * @param start - its first byte
   * @param end - the byte after it
   * @param hash - its {@link hashBytes}
   * @returns the id, or -1
   */
  find(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = spread(hash) & mask; ; slot = (slot + 1) & mask) {
      const id = slots[slot];
      if (id < 0 || (this.#hashes[id] === hash && this.#equals(id, bytes, start, end))) return id;
    }
  }

  /**
   * Gives a word the next id, even if it has one already: the new id is the one that is found from then on.
   *
   * @returns the id
   * @throws {@link BinarizerError} `WORDS_TOO_LARGE` when the words take 4 GiB
   */
  add(bytes: Uint8Array, start: number, end: number, hash: number): number {
    const id = this.#size;
    this.#reserve(end - start);
    const first = this.#offsets[id];
    for (let i = start; i < end; i++) this.#bytes[first + i - start] = bytes[i];
    this.#offsets[id + 1] = first + (end - start);
    this.#hashes[id] = hash;
    this.#size = id + 1;
    const mask = this.#slots.length - 1;
    let slot = spread(hash) & mask;
    while (this.#slots[slot] >= 0) {
      const other = this.#slots[slot];
      if (this.#hashes[other] === hash && this.#equals(other, bytes, start, end)) {
        this.#shadowed.add(other);
        break;
      }
      slot = (slot + 1) & mask;
    }
    this.#slots[slot] = id;
    return id;
  }

  /** {@link WordTable.find} for a string. */
  findText(text: string): number {
    const end = encode(text);
    return this.find(scratch, 0, end, hashBytes(scratch, 0, end));
  }

  /** {@link WordTable.add} for a string. */
  addText(text: string): number {
    const end = encode(text);
    return this.add(scratch, 0, end, hashBytes(scratch, 0, end));
  }

  #equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const first = this.#offsets[id];
    if (this.#offsets[id + 1] - first !== end - start) return false;
    const words = this.#bytes;
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
      this.#buffer = bufferOf(grown);
    }
    if (this.#size === this.#hashes.length) this.#growIds();
  }

  #growIds(): void {
    const capacity = this.#hashes.length * 2;
    const offsets = new Uint32Array(capacity + 1);
    offsets.set(this.#offsets);
    this.#offsets = offsets;
    const hashes = new Int32Array(capacity);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    // At most half full, so that probes stay short.
    this.#slots = new Int32Array(capacity * 2).fill(-1);
    const mask = this.#slots.length - 1;
    for (let id = 0; id < this.#size; id++) {
      if (this.#shadowed.has(id)) continue;
      let slot = spread(hashes[id]) & mask;
      while (this.#slots[slot] >= 0) slot = (slot + 1) & mask;
      this.#slots[slot] = id;
    }
  }
}

/** FNV-1a's low bits are its weak ones; the slot is taken from all of them. */
function spread(hash: number): number {
  return hash ^ (hash >>> 15);
}
