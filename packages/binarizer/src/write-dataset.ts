import { BinarizerError } from './errors.js';
import {
  finishDataset,
  partPaths,
  removeParts,
  storageOf,
  type BinaryFormat,
  type Storage,
} from './dataset-writer.js';
import { largestElement, type ElementName } from './element-type.js';
import { PartWriter } from './part-writer.js';

/** How {@link writeDataset} stores ids. */
export interface WriteDatasetOptions {
  /** `cached` and `lazy` are one format. @defaultValue `mmap` */
  readonly format?: BinaryFormat;
  /** Size of the dictionary, which decides the type of `mmap` ids as in fairseq. */
  readonly vocabularySize: number;
  /** Another type for `mmap` ids. */
  readonly element?: Exclude<ElementName, 'float32'>;
}

/**
 * Writes sentences to `PREFIX.bin` and `PREFIX.idx`, which get their names when they are complete.
 *
 * @param prefix - path without suffix
 * @param sentences - ids of each sentence, `</s>` included
 * @param options - format and type
 * @throws {@link BinarizerError} `TOKEN_OUT_OF_RANGE` for an id that the dictionary or the type does not have
 * @throws KnnLmError `FILE_…`
 *
 * @example
 * ```ts
 * const dictionary = Dictionary.fromSymbols(['the', 'cat', 'sat']);
 * await dictionary.save('data-bin/dict.txt');
 * const sentences = ['the cat', 'the cat sat'].map((line) => dictionary.encodeLine(line));
 * await writeDataset('data-bin/train', sentences, { vocabularySize: dictionary.size });
 * ```
 */
export async function writeDataset(
  prefix: string,
  sentences: Iterable<ArrayLike<number>>,
  { format = 'mmap', vocabularySize, element }: WriteDatasetOptions,
): Promise<void> {
  const fitting = storageOf(format, vocabularySize);
  const storage: Storage = format === 'mmap' && element !== undefined ? { ...fitting, element } : fitting;
  const limit = Math.min(vocabularySize - 1, largestElement[storage.element] - storage.bias);
  const parts = partPaths(prefix, 1);
  try {
    const writer = await PartWriter.create(parts[0], storage);
    try {
      await writeSentences(writer, sentences, limit, prefix);
    } finally {
      await writer.close();
    }
    const sizes = [{ path: parts[0].sizesPath, from: 0, sentences: writer.sentences }];
    await finishDataset(prefix, parts[0].tokensPath, sizes, storage);
  } finally {
    await removeParts(parts);
  }
}

async function writeSentences(
  writer: PartWriter,
  sentences: Iterable<ArrayLike<number>>,
  limit: number,
  prefix: string,
): Promise<void> {
  for (const sentence of sentences) {
    for (let i = 0; i < sentence.length; i++) {
      const id = sentence[i];
      if (!(Number.isInteger(id) && id >= 0 && id <= limit)) throw outOfRange(prefix, id, limit);
    }
    await writer.add(Int32Array.from(sentence));
    await writer.endSentence(sentence.length);
  }
  await writer.finish();
}

function outOfRange(prefix: string, id: number, limit: number): BinarizerError {
  return new BinarizerError(
    'TOKEN_OUT_OF_RANGE',
    `cannot write ${prefix}: ${id} is no token id; expected 0 to ${limit}`,
    {
      hint: 'Encode the text with the dictionary whose size was given, or choose a larger type.',
      details: { path: prefix, found: id, expected: `0 to ${limit}` },
    },
  );
}
