import type { DatasetPart, Storage } from './dataset-writer.js';
import { BinarizerError } from './errors.js';
import { IntegerFile } from './integer-file.js';

/** Sizes are stored as int32. */
const MAX_SENTENCE_TOKENS = 2 ** 31 - 1;

/**
 * Writes one part of a dataset: ids to one file, the size of each sentence (int32) to another. While some are being written,
 * more can be added.
 */
export class PartWriter {
  /** Finished sentences. */
  sentences = 0;
  /** Ids. */
  tokens = 0;
  readonly #ids: IntegerFile;
  readonly #sizes: IntegerFile;

  private constructor(ids: IntegerFile, sizes: IntegerFile) {
    this.#ids = ids;
    this.#sizes = sizes;
  }

  /** Makes both files, which must not be there yet. @throws KnnLmError `FILE_…` */
  static async create(
    { tokensPath, sizesPath }: DatasetPart,
    storage: Pick<Storage, 'element' | 'bias'>,
  ): Promise<PartWriter> {
    const ids = await IntegerFile.create(tokensPath, storage);
    try {
      return new PartWriter(ids, await IntegerFile.create(sizesPath, { element: 'int32', bias: 0 }));
    } catch (error) {
      await ids.close();
      throw error;
    }
  }

  /**
   * Adds ids of a sentence, which may be a part of it.
   *
   * @throws KnnLmError `FILE_…`, of an earlier call too
   */
  async add(ids: Int32Array): Promise<void> {
    this.tokens += ids.length;
    await addAll(this.#ids, ids);
  }

  /**
   * Ends a sentence.
   *
   * @param size - its ids
   * @throws {@link BinarizerError} `SENTENCE_TOO_LONG`
   * @throws KnnLmError `FILE_…`, of an earlier call too
   */
  endSentence(size: number): Promise<void> | undefined {
    if (size > MAX_SENTENCE_TOKENS) throw sentenceTooLong(this.sentences, size);
    this.sentences++;
    this.#sizes.push(size);
    // Most calls have nothing to wait for.
    return this.#sizes.room === 0 ? this.#sizes.flush() : undefined;
  }

  /**
   * Ends sentences of less than 2^31 tokens each.
   *
   * @param sizes - ids of each
   * @throws KnnLmError `FILE_…`, of an earlier call too
   */
  async endSentences(sizes: Int32Array): Promise<void> {
    this.sentences += sizes.length;
    await addAll(this.#sizes, sizes);
  }

  /** Writes all that was added; to be called at the end. @throws KnnLmError `FILE_…` */
  async finish(): Promise<void> {
    await this.#ids.finish();
    await this.#sizes.finish();
  }

  /** Closes both files. */
  async close(): Promise<void> {
    await Promise.all([this.#ids.close(), this.#sizes.close()]);
  }
}

async function addAll(file: IntegerFile, integers: Int32Array): Promise<void> {
  for (let done = 0; done < integers.length;) {
    if (file.room === 0) await file.flush();
    const some = integers.subarray(done, done + file.room);
    file.add(some);
    done += some.length;
  }
}

function sentenceTooLong(sentence: number, size: number): BinarizerError {
  return new BinarizerError(
    'SENTENCE_TOO_LONG',
    `sentence ${sentence} has ${size} tokens; the format stores at most ${MAX_SENTENCE_TOKENS}`,
    {
      hint: 'Divide the text into lines.',
      details: { sentence, found: size, expected: MAX_SENTENCE_TOKENS },
    },
  );
}
