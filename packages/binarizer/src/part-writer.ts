import { open, type FileHandle } from 'node:fs/promises';
import { describeFileError } from '@knn-lm/common';
import type { DatasetPart, Storage } from './dataset-writer.js';
import { encodeTokens } from './element-type.js';
import { BinarizerError } from './errors.js';

/** Ids and sizes held in memory before they are written. */
const BUFFER_LENGTH = 2 ** 17;

/** Sizes are stored as int32. */
const MAX_SENTENCE_TOKENS = 2 ** 31 - 1;

/** Writes one part of a dataset: ids to one file, the size of each sentence (int32) to another. */
export class PartWriter {
  /** Finished sentences. */
  sentences = 0;
  /** Ids. */
  tokens = 0;
  readonly #part: DatasetPart;
  readonly #tokensFile: FileHandle;
  readonly #sizesFile: FileHandle;
  readonly #storage: Pick<Storage, 'element' | 'bias'>;
  readonly #ids = new Int32Array(BUFFER_LENGTH);
  readonly #sizes = new Int32Array(BUFFER_LENGTH);
  #idCount = 0;
  #sizeCount = 0;

  private constructor(
    part: DatasetPart,
    tokensFile: FileHandle,
    sizesFile: FileHandle,
    storage: Pick<Storage, 'element' | 'bias'>,
  ) {
    this.#part = part;
    this.#tokensFile = tokensFile;
    this.#sizesFile = sizesFile;
    this.#storage = storage;
  }

  /** Makes both files, which must not be there yet. @throws KnnLmError `FILE_…` */
  static async create(part: DatasetPart, storage: Pick<Storage, 'element' | 'bias'>): Promise<PartWriter> {
    try {
      const tokensFile = await open(part.tokensPath, 'wx');
      try {
        return new PartWriter(part, tokensFile, await open(part.sizesPath, 'wx'), storage);
      } catch (cause) {
        await tokensFile.close();
        throw cause;
      }
    } catch (cause) {
      throw describeFileError(cause, part.tokensPath, 'write the dataset');
    }
  }

  /**
   * Adds ids of a sentence, which may be a part of it.
   *
   * @throws KnnLmError `FILE_…`
   */
  async add(ids: Int32Array): Promise<void> {
    this.tokens += ids.length;
    for (let done = 0; done < ids.length;) {
      if (this.#idCount === BUFFER_LENGTH) await this.flush();
      const some = ids.subarray(done, done + BUFFER_LENGTH - this.#idCount);
      this.#ids.set(some, this.#idCount);
      this.#idCount += some.length;
      done += some.length;
    }
  }

  /**
   * Ends a sentence.
   *
   * @param size - its ids
   * @throws {@link BinarizerError} `SENTENCE_TOO_LONG`
   * @throws KnnLmError `FILE_…`
   */
  endSentence(size: number): Promise<void> | undefined {
    if (size > MAX_SENTENCE_TOKENS) throw sentenceTooLong(this.sentences, size);
    this.sentences++;
    this.#sizes[this.#sizeCount++] = size;
    // Most calls have nothing to wait for.
    return this.#sizeCount === BUFFER_LENGTH ? this.flush() : undefined;
  }

  /** Writes what was added; to be called at the end. @throws KnnLmError `FILE_…` */
  async flush(): Promise<void> {
    const { element, bias } = this.#storage;
    try {
      await this.#tokensFile.writeFile(encodeTokens(this.#ids.subarray(0, this.#idCount), element, bias));
      await this.#sizesFile.writeFile(encodeTokens(this.#sizes.subarray(0, this.#sizeCount), 'int32', 0));
    } catch (cause) {
      throw describeFileError(cause, this.#part.tokensPath, 'write the dataset');
    }
    this.#idCount = 0;
    this.#sizeCount = 0;
  }

  /** Closes both files. */
  async close(): Promise<void> {
    await Promise.all([this.#tokensFile.close(), this.#sizesFile.close()]);
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
