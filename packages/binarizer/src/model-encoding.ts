import { lineParts, readText } from './decoded-text.js';
import { ModelTokenizer } from './model-tokenizer.js';
import type { PartWriter } from './part-writer.js';
import { StreamEncoder } from './stream-encoder.js';
import type { ScanControl } from './text-numbering.js';
import type { TextRange } from './text-source.js';
import { tokenMapOf } from './token-map.js';
import { readTokenizerFile } from './tokenizer-file.js';

const EOS = 2;
const UNK = 3;

/** A tokenizer that gives ids to a text, as plain data for another thread. */
export interface TokenizerTask {
  /** `tokenizer.json`. */
  readonly path: string;
  /** See `TokenMapOptions`. */
  readonly eos: string | undefined;
  /** See `TokenMapOptions`. */
  readonly keepsNewlines: boolean;
}

/** What was encoded of a range. */
export interface EncodedRange {
  readonly sentences: number;
  readonly tokens: number;
  readonly replaced: number;
}

/** Encodes ranges of texts with a tokenizer of Hugging Face. */
export class ModelEncoder {
  readonly #tokenizer: ModelTokenizer;
  readonly #keepsNewlines: boolean;

  private constructor(tokenizer: ModelTokenizer, keepsNewlines: boolean) {
    this.#tokenizer = tokenizer;
    this.#keepsNewlines = keepsNewlines;
  }

  /** @throws BinarizerError `TOKENIZER_…` */
  static async create({ path, eos, keepsNewlines }: TokenizerTask): Promise<ModelEncoder> {
    const file = await readTokenizerFile(path);
    const map = tokenMapOf(file, { eos, keepsNewlines });
    return new ModelEncoder(await ModelTokenizer.create(file, map), keepsNewlines);
  }

  /**
   * Encodes a range: each line is a sentence that ends with `</s>`; or the whole of it is one, with its line ends.
   *
   * @throws BinarizerError `TEXT_NOT_UTF8`, `TOKENIZER_FAILED`
   * @throws KnnLmError `FILE_…`; CancelledError
   */
  async encode(range: TextRange, writer: PartWriter, control: ScanControl): Promise<EncodedRange> {
    const encoder = new StreamEncoder((text) => this.#tokenizer.encode(text));
    let size = 0;
    const all = { sentences: 0, tokens: 0, replaced: 0 };
    const add = async (ids: readonly number[]) => {
      for (const id of ids) if (id === UNK) all.replaced++;
      size += ids.length;
      await writer.add(Int32Array.from(ids));
    };
    const endSentence = async () => {
      await writer.endSentence(size);
      all.sentences++;
      all.tokens += size;
      size = 0;
    };
    const pieces = readText(range, control);
    if (this.#keepsNewlines) {
      for await (const text of pieces) await add(encoder.push(text));
      await add(encoder.end());
      if (size > 0) await endSentence();
      return all;
    }
    for await (const { text, endsLine } of lineParts(pieces)) {
      await add(encoder.push(text));
      if (!endsLine) continue;
      await add([...encoder.end(), EOS]);
      await endSentence();
    }
    return all;
  }
}
