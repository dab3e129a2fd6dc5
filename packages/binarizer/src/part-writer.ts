import { open, type FileHandle } from 'node:fs/promises';
import { describeFileError } from '@knn-lm/common';
import type { DatasetPart, Storage } from './dataset-writer.js';
import { encodeTokens } from './element-type.js';
import { IntegerList } from './integer-list.js';

/** Writes one part of a dataset: ids to one file, the size of each sentence (int32) to another. */
export class PartWriter {
  /** Finished sentences. */
  sentences = 0;
  /** Ids. */
  tokens = 0;
  readonly #tokensFile: FileHandle;
  readonly #sizesFile: FileHandle;
  readonly #storage: Pick<Storage, 'element' | 'bias'>;
  readonly #tokenList = new IntegerList();
  readonly #sizeList = new IntegerList();
  #sentenceTokens = 0;

  private constructor(
    tokensFile: FileHandle,
    sizesFile: FileHandle,
    storage: Pick<Storage, 'element' | 'bias'>,
  ) {
    this.#tokensFile = tokensFile;
    this.#sizesFile = sizesFile;
    this.#storage = storage;
  }

  /** Makes both files, which must not be there yet. @throws KnnLmError `FILE_…` */
  static async create(part: DatasetPart, storage: Pick<Storage, 'element' | 'bias'>): Promise<PartWriter> {
    try {
      const tokensFile = await open(part.tokensPath, 'wx');
      try {
        return new PartWriter(tokensFile, await open(part.sizesPath, 'wx'), storage);
      } catch (cause) {
        await tokensFile.close();
        throw cause;
      }
    } catch (cause) {
      throw describeFileError(cause, part.tokensPath, 'write the dataset');
    }
  }

  /** Adds an id to the sentence. */
  push(id: number): void {
    this.#tokenList.push(id);
    this.#sentenceTokens++;
  }

  /** Ends the sentence. */
  endSentence(): void {
    this.#sizeList.push(this.#sentenceTokens);
    this.#sentenceTokens = 0;
  }

  /** Writes what was added; call it every now and then. */
  async flush(): Promise<void> {
    this.sentences += this.#sizeList.length;
    this.tokens += this.#tokenList.length;
    const { element, bias } = this.#storage;
    await this.#tokensFile.writeFile(encodeTokens(this.#tokenList.view(), element, bias));
    await this.#sizesFile.writeFile(encodeTokens(this.#sizeList.view(), 'int32', 0));
    this.#tokenList.clear();
    this.#sizeList.clear();
  }

  /** Closes both files. */
  async close(): Promise<void> {
    await Promise.all([this.#tokensFile.close(), this.#sizesFile.close()]);
  }
}
