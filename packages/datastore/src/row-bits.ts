import type { RowSelection } from './select.js';

/** A set of rows, one bit for each row there is: 13 MB for a hundred million. */
export class RowBits implements RowSelection {
  readonly #bits: Uint8Array;
  #size = 0;

  /** @param rows - rows there are */
  constructor(rows: number) {
    this.#bits = new Uint8Array(Math.ceil(rows / 8));
  }

  /** A set as {@link RowBits.bytes} has kept it; `undefined` where the bytes are not of so many rows. */
  static from(rows: number, bytes: Uint8Array): RowBits | undefined {
    const bits = new RowBits(rows);
    if (bytes.length !== bits.#bits.length) return undefined;
    bits.#bits.set(bytes);
    for (let row = 0; row < rows; row++) if (bits.has(row)) bits.#size++;
    return bits;
  }

  /** One bit a row. */
  get bytes(): Uint8Array {
    return this.#bits;
  }

  get size(): number {
    return this.#size;
  }

  has(row: number): boolean {
    return (this.#bits[Math.floor(row / 8)] & (1 << (row % 8))) !== 0;
  }

  /** Puts a row in that is not in yet. */
  add(row: number): void {
    this.#bits[Math.floor(row / 8)] |= 1 << (row % 8);
    this.#size++;
  }
}
