/** A growing list of 32-bit integers, without a number object for each. */
export class IntegerList {
  #values = new Int32Array(1024);
  #length = 0;

  /** How many there are. */
  get length(): number {
    return this.#length;
  }

  /** Appends one. */
  push(value: number): void {
    if (this.#length === this.#values.length) {
      const larger = new Int32Array(this.#values.length * 2);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#length++] = value;
  }

  /** A copy of all of them. */
  toArray(): Int32Array {
    return this.#values.slice(0, this.#length);
  }

  /** All of them; the view holds until the next {@link IntegerList.push}. */
  view(): Int32Array {
    return this.#values.subarray(0, this.#length);
  }

  /** Forgets all of them, and keeps the memory. */
  clear(): void {
    this.#length = 0;
  }
}
