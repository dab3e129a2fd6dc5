import { stat } from 'node:fs/promises';
import { describeFileError } from '@knn-lm/common';
import type { Dictionary } from './dictionary.js';
import { checkTokenRange, sentenceOutOfRange } from './indexed-dataset.js';
import { IntegerList } from './integer-list.js';
import { SharedTable } from './shared-table.js';
import { TextNumbering } from './text-numbering.js';
import { fingerprintOf, sentenceStarts, type TokenDataset } from './token-dataset.js';

/** A text file, encoded when it is opened and held in memory (4 bytes a token), as fairseq holds it. */
export class RawDataset implements TokenDataset {
  readonly path: string;
  readonly length: number;
  readonly sizes: Int32Array;
  readonly tokenCount: number;
  readonly #tokens: Int32Array;
  readonly #starts: Float64Array;
  #fingerprint: string | undefined;

  private constructor(path: string, tokens: Int32Array, sizes: Int32Array) {
    this.path = path;
    this.#tokens = tokens;
    this.tokenCount = tokens.length;
    this.sizes = sizes;
    this.length = sizes.length;
    this.#starts = sentenceStarts(sizes);
  }

  /**
   * Encodes a text file.
   *
   * @param path - the file
   * @param dictionary - gives the ids
   * @throws BinarizerError `TEXT_NOT_UTF8`, `WORDS_TOO_LARGE`
   * @throws KnnLmError `FILE_…`
   */
  static async open(path: string, dictionary: Dictionary): Promise<RawDataset> {
    const tokens = new IntegerList();
    const sizes = new IntegerList();
    let open = 0;
    const numbering = new TextNumbering(SharedTable.of(dictionary.words).shared);
    const size = await stat(path).then(
      (stats) => stats.size,
      (cause: unknown) => {
        throw describeFileError(cause, path, 'read the text');
      },
    );
    for await (const piece of numbering.number({ path, start: 0, end: size }, false)) {
      for (const id of piece.ids) tokens.push(id);
      for (const sizeHere of piece.sizes) {
        sizes.push(open + sizeHere);
        open = 0;
      }
      open += piece.openTokens;
    }
    return new RawDataset(path, tokens.toArray(), sizes.toArray());
  }

  get fingerprint(): string {
    this.#fingerprint ??= fingerprintOf(this);
    return this.#fingerprint;
  }

  sentence(i: number): Int32Array {
    if (!(Number.isInteger(i) && i >= 0 && i < this.length)) throw sentenceOutOfRange(this, i);
    return this.#tokens.slice(this.#starts[i], this.#starts[i + 1]);
  }

  readTokens(start: number, end: number): Int32Array {
    checkTokenRange(this, start, end);
    return this.#tokens.slice(start, end);
  }

  close(): void {
    // Nothing is open.
  }
}
