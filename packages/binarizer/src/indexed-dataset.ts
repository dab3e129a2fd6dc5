import { RandomAccessFile } from '@knn-lm/common';
import { BinarizerError } from './errors.js';
import { readDatasetIndex, type DatasetIndex } from './dataset-index.js';
import { decodeTokens, elementBytes } from './element-type.js';
import { fingerprintOf, sentenceStarts, type TokenDataset } from './token-dataset.js';

/**
 * Small reads are served from a window of the file this large, which holds some text before the range, too. Blocks in the
 * order of their sizes each need another window: with 1 MB they took 2 s for 2 million tokens.
 */
const WINDOW_BYTES = 2 ** 16;
const WINDOW_BYTES_BEFORE = 2 ** 12;

/** A dataset of a `.bin` and an `.idx` file; tokens are read when they are asked for. */
export class IndexedDataset implements TokenDataset {
  readonly path: string;
  readonly length: number;
  readonly sizes: Int32Array;
  readonly tokenCount: number;
  readonly #index: DatasetIndex;
  readonly #file: RandomAccessFile;
  readonly #vocabularySize: number;
  #starts: Float64Array | undefined;
  #fingerprint: string | undefined;
  readonly #window = new Uint8Array(WINDOW_BYTES);
  #windowStart = 0;
  #windowEnd = 0;
  #isClosed = false;

  /**
   * @param prefix - path without `.bin` and `.idx`
   * @param vocabularySize - ids from this on are an error when they are read; `undefined` checks nothing
   * @throws BinarizerError `IDX_…`, `BIN_SIZE`
   * @throws KnnLmError `FILE_…`
   */
  constructor(prefix: string, vocabularySize?: number) {
    this.path = prefix;
    this.#vocabularySize = vocabularySize ?? 2 ** 31;
    const indexFile = new RandomAccessFile(`${prefix}.idx`, 'read the dataset index');
    try {
      this.#index = readDatasetIndex(indexFile);
    } finally {
      indexFile.close();
    }
    this.sizes = this.#index.sizes;
    this.length = this.sizes.length;
    this.tokenCount = this.#index.tokenCount;
    this.#file = new RandomAccessFile(`${prefix}.bin`, 'read the dataset');
    this.#checkBinSize();
  }

  get fingerprint(): string {
    this.#fingerprint ??= fingerprintOf(this);
    return this.#fingerprint;
  }

  sentence(i: number): Int32Array {
    if (!(Number.isInteger(i) && i >= 0 && i < this.length)) throw sentenceOutOfRange(this, i);
    this.#starts ??= sentenceStarts(this.sizes);
    return this.readTokens(this.#starts[i], this.#starts[i + 1]);
  }

  readTokens(start: number, end: number): Int32Array {
    checkTokenRange(this, start, end);
    const { element, bias } = this.#index;
    const step = elementBytes[element];
    const tokens = new Int32Array(end - start);
    const bytes = this.#bytes(start * step, tokens.length * step);
    let wrong = decodeTokens(bytes, element, bias, tokens);
    if (wrong < 0) wrong = firstAtLeast(tokens, this.#vocabularySize);
    if (wrong >= 0)
      throw this.#tokenOutOfRange(start + wrong, bytes.subarray(wrong * step, (wrong + 1) * step));
    return tokens;
  }

  close(): void {
    if (!this.#isClosed) this.#file.close();
    this.#isClosed = true;
  }

  /** Bytes of the file; a view that holds until the next call. */
  #bytes(byteOffset: number, byteLength: number): Uint8Array {
    if (byteLength > WINDOW_BYTES - WINDOW_BYTES_BEFORE) return this.#file.readBytes(byteOffset, byteLength);
    const inWindow = byteOffset >= this.#windowStart && byteOffset + byteLength <= this.#windowEnd;
    if (!inWindow) {
      this.#windowStart = Math.max(0, byteOffset - WINDOW_BYTES_BEFORE);
      // Nothing is in the window while it is filled: reading may fail.
      this.#windowEnd = this.#windowStart;
      const end = Math.min(this.#windowStart + WINDOW_BYTES, this.#file.size);
      this.#file.read(this.#window.subarray(0, end - this.#windowStart), this.#windowStart);
      this.#windowEnd = end;
    }
    const first = byteOffset - this.#windowStart;
    return this.#window.subarray(first, first + byteLength);
  }

  #checkBinSize(): void {
    const expected = this.tokenCount * elementBytes[this.#index.element];
    if (this.#file.size === expected) return;
    this.#file.close();
    throw new BinarizerError(
      'BIN_SIZE',
      `${this.#file.path}: has ${this.#file.size} bytes, but its .idx describes ${this.tokenCount} tokens of type ` +
        `${this.#index.element}, which take ${expected}`,
      {
        hint: 'The two files do not belong together, or one is cut short; copy both again or make them again.',
        details: { path: this.#file.path, byteOffset: this.#file.size, found: this.#file.size, expected },
      },
    );
  }

  #tokenOutOfRange(token: number, bytes: Uint8Array): BinarizerError {
    const byteOffset = token * bytes.length;
    const limit = this.#vocabularySize;
    const found = `0x${Buffer.from(bytes).reverse().toString('hex')}`;
    return new BinarizerError(
      'TOKEN_OUT_OF_RANGE',
      `${this.#file.path}: ${found} (${this.#index.element}) at byte ${byteOffset} is no token id; expected 0 to ${limit - 1}`,
      {
        hint: 'The dataset was made with another dictionary, or the file is damaged.',
        details: { path: this.#file.path, byteOffset, found, expected: `0 to ${limit - 1}` },
      },
    );
  }
}

function firstAtLeast(tokens: Int32Array, limit: number): number {
  for (let i = 0; i < tokens.length; i++) if (tokens[i] >= limit) return i;
  return -1;
}

/** The error for a sentence that is not there. */
export function sentenceOutOfRange(dataset: { path: string; length: number }, i: number): BinarizerError {
  return new BinarizerError(
    'SENTENCE_OUT_OF_RANGE',
    `${dataset.path}: there is no sentence ${i}; it has ${dataset.length}`,
    { details: { path: dataset.path, found: i, expected: `0 to ${dataset.length - 1}` } },
  );
}

/** Throws unless `start` to `end` is a range of the text. */
export function checkTokenRange(
  dataset: { path: string; tokenCount: number },
  start: number,
  end: number,
): void {
  if (
    Number.isInteger(start) &&
    Number.isInteger(end) &&
    start >= 0 &&
    start <= end &&
    end <= dataset.tokenCount
  ) {
    return;
  }
  throw new BinarizerError(
    'RANGE_OUT_OF_TEXT',
    `${dataset.path}: there are no tokens ${start} to ${end}; it has ${dataset.tokenCount}`,
    { details: { path: dataset.path, found: `${start} to ${end}`, expected: `0 to ${dataset.tokenCount}` } },
  );
}
