/** A set of row numbers, one bit for each row there is. */
export class RowSet {
  /** Rows there are. */
  readonly rows: number;
  readonly #bits: Uint8Array;
  #size = 0;

  /**
   * Makes an empty set.
   *
   * @param rows - rows there are
   */
  constructor(rows: number) {
    this.rows = rows;
    this.#bits = new Uint8Array(Math.ceil(rows / 8));
  }

  /** The set of all rows. */
  static all(rows: number): RowSet {
    const set = new RowSet(rows);
    for (let row = 0; row < rows; row++) set.add(row);
    return set;
  }

  /** Rows in the set. */
  get size(): number {
    return this.#size;
  }

  /** Whether a row is in the set. */
  has(row: number): boolean {
    return (this.#bits[Math.floor(row / 8)] & (1 << (row % 8))) !== 0;
  }

  /** Puts a row into the set. */
  add(row: number): void {
    if (this.has(row)) return;
    this.#bits[Math.floor(row / 8)] |= 1 << (row % 8);
    this.#size++;
  }

  /**
   * The rows at some places of the set, counted in ascending order of the rows.
   *
   * @param places - ascending, each below {@link RowSet.size}
   * @returns `[places.length]`, ascending
   */
  rowsAt(places: Float64Array): Float64Array {
    const rows = new Float64Array(places.length);
    let place = -1;
    let next = 0;
    for (let row = 0; row < this.rows && next < places.length; row++) {
      if (!this.has(row)) continue;
      place++;
      while (next < places.length && places[next] === place) rows[next++] = row;
    }
    return rows;
  }
}
