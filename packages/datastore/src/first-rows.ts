import { asBytes } from './content.js';
import type { Datastore } from './datastore.js';
import type { RowBits } from './row-bits.js';

/** A hash table with open addressing: the first row of each content. */
export class FirstRows {
  readonly #source: Datastore;
  readonly #first: RowBits;
  readonly #sums: Float32Array | undefined;
  #hashes: Float64Array;
  #rows: Float64Array;
  #used = 0;

  /**
   * @param source - to compare rows
   * @param expected - rows
   * @param first - receives the rows that are equal to none before
   * @param sums - weights, to which those of equal rows are added
   */
  constructor(source: Datastore, expected: number, first: RowBits, sums: Float32Array | undefined) {
    this.#source = source;
    this.#first = first;
    this.#sums = sums;
    const slots = 2 ** Math.ceil(Math.log2(Math.max(expected, 1) * 1.5 + 1));
    this.#hashes = new Float64Array(slots);
    this.#rows = new Float64Array(slots).fill(-1);
  }

  /** Takes a row; rows come in ascending order. */
  add(hash: number, row: number): void {
    if (this.#used > 0.7 * this.#rows.length) this.#grow();
    const mask = this.#rows.length - 1;
    for (let slot = slotOf(hash, mask); ; slot = (slot + 1) & mask) {
      if (this.#rows[slot] < 0) {
        this.#hashes[slot] = hash;
        this.#rows[slot] = row;
        this.#used++;
        this.#first.add(row);
        return;
      }
      if (this.#hashes[slot] === hash && this.#equal(this.#rows[slot], row)) {
        if (this.#sums !== undefined) this.#sums[this.#rows[slot]] += this.#sums[row];
        return;
      }
    }
  }

  #grow(): void {
    const [hashes, rows] = [this.#hashes, this.#rows];
    this.#hashes = new Float64Array(2 * hashes.length);
    this.#rows = new Float64Array(2 * rows.length).fill(-1);
    const mask = this.#rows.length - 1;
    for (let i = 0; i < rows.length; i++) {
      if (rows[i] < 0) continue;
      let slot = slotOf(hashes[i], mask);
      while (this.#rows[slot] >= 0) slot = (slot + 1) & mask;
      this.#hashes[slot] = hashes[i];
      this.#rows[slot] = rows[i];
    }
  }

  #equal(a: number, b: number): boolean {
    const source = this.#source;
    if (source.readValues(a, 1)[0] !== source.readValues(b, 1)[0]) return false;
    return Buffer.compare(asBytes(source.readStoredKeys(a, 1)), asBytes(source.readStoredKeys(b, 1))) === 0;
  }
}

/** The upper bits choose the slot: the lower ones chose the partition. */
function slotOf(hash: number, mask: number): number {
  return Math.floor(hash / 2 ** 16) & mask;
}
