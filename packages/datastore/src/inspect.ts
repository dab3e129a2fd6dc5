import type { DatastoreShape, KeysDtype } from './layout.js';
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
    const rows = elements.length / dimension;
    const words =
      bytes.byteLength % (4 * rows) === 0
        ? new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)
        : undefined;
    const wordsOfKey = words === undefined ? 0 : words.length / rows;
    for (let row = 0; row < rows; row++) {
      if (words !== undefined && isOrdinary(words, row * wordsOfKey, wordsOfKey, dtype))
        this.zeroKeysAtEnd = 0;
      else this.#inspectKey(elements.subarray(row * dimension, (row + 1) * dimension), firstRow + row);
    }
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

/**
 * Whether a key is finite and not zero, by its bits, 32 at a time: adding one to the exponent carries into the sign's
 * place only where the exponent is all ones (infinite or not a number).
 */
function isOrdinary(words: Int32Array, start: number, count: number, dtype: KeysDtype): boolean {
  let any = 0;
  let carry = 0;
  if (dtype === 'fp16') {
    for (let i = start; i < start + count; i++) {
      const word = words[i];
      any |= word;
      carry |= (word & 0x7c007c00) + 0x04000400;
    }
    return any !== 0 && (carry & 0x80008000) === 0;
  }
  for (let i = start; i < start + count; i++) {
    const word = words[i];
    any |= word;
    carry |= (word & 0x7f800000) + 0x00800000;
  }
  return any !== 0 && carry >= 0;
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
    let min = this.min ?? Infinity;
    let max = this.max ?? -Infinity;
    for (let i = 0; i < words.length; i += 2) {
      const value = words[i + 1] * 2 ** 32 + (words[i] >>> 0);
      if (value < min) min = value;
      if (value > max) max = value;
      if (value >= 0 && value < limit) continue;
      const row = firstRow + i / 2;
      const message = `${this.path}: the value of row ${row} is ${value}, not a token id below ${limit}`;
      this.problems.add({ kind: 'value-out-of-range', path: this.path, row, message });
    }
    [this.min, this.max] = [min, max];
  }
}
