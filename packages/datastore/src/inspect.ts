import type { DatastoreShape } from './layout.js';
import type { ProblemList } from './problems.js';
import { firstNotFinite } from './rows.js';

/** Looks at keys as they pass: finite or not, all zero or not. */
export class KeyInspector {
  /** Keys that are all zero. */
  zeroKeys = 0;
  /** Keys that are all zero since the last that was not. */
  zeroKeysAtEnd = 0;

  /**
   * @param path - for messages
   * @param shape - the datastore's
   * @param problems - receives keys that are not finite
   */
  constructor(
    readonly path: string,
    readonly shape: DatastoreShape,
    readonly problems: ProblemList,
  ) {}

  /** Takes whole rows. */
  inspect(bytes: Uint8Array<ArrayBuffer>, firstRow: number): void {
    const { dimension, dtype } = this.shape;
    const elements =
      dtype === 'fp16'
        ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2)
        : new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    for (let start = 0; start < elements.length; start += dimension)
      this.#inspectKey(elements.subarray(start, start + dimension), firstRow + start / dimension);
  }

  #inspectKey(key: Uint16Array | Float32Array, row: number): void {
    if (isZero(key)) {
      this.zeroKeys++;
      this.zeroKeysAtEnd++;
      return;
    }
    this.zeroKeysAtEnd = 0;
    const column = firstNotFinite(key);
    if (column < 0) return;
    const message = `${this.path}: the key of row ${row} is not finite (element ${column})`;
    this.problems.add({ kind: 'key-not-finite', path: this.path, row, message });
  }
}

function isZero(key: Uint16Array | Float32Array): boolean {
  for (let i = 0; i < key.length; i++) if (key[i] !== 0) return false;
  return true;
}

/** Looks at values as they pass: token ids or not. */
export class ValueInspector {
  /** Smallest value so far. */
  min: number | undefined;
  /** Largest value so far. */
  max: number | undefined;

  /**
   * @param path - for messages
   * @param vocabularySize - values must be below it, if it is given
   * @param problems - receives values out of range
   */
  constructor(
    readonly path: string,
    readonly vocabularySize: number | undefined,
    readonly problems: ProblemList,
  ) {}

  /** Takes whole rows. */
  inspect(bytes: Uint8Array<ArrayBuffer>, firstRow: number): void {
    const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const limit = this.vocabularySize ?? 2 ** 31;
    for (let i = 0; i < words.length; i += 2) {
      const value = words[i + 1] * 2 ** 32 + (words[i] >>> 0);
      this.min = Math.min(this.min ?? value, value);
      this.max = Math.max(this.max ?? value, value);
      if (value >= 0 && value < limit) continue;
      const row = firstRow + i / 2;
      const message = `${this.path}: the value of row ${row} is ${value}, not a token id below ${limit}`;
      this.problems.add({ kind: 'value-out-of-range', path: this.path, row, message });
    }
  }
}
