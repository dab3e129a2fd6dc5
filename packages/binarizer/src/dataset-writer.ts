import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { RandomAccessFile, describeFileError, temporaryName } from '@knn-lm/common';
import { elementBytes, elementCodes, elementForVocabulary, type ElementName } from './element-type.js';
import { waitForAll } from './wait-for-all.js';

/** Binary formats that can be written; `cached` and `lazy` are one. */
export type BinaryFormat = 'mmap' | 'cached' | 'lazy';

/** How the ids are stored. */
export interface Storage {
  readonly format: 'mmap' | 'cached';
  readonly element: ElementName;
  readonly bias: 0 | 1;
}

/**
 * How fairseq stores a dataset (`make_builder` in `fairseq/data/indexed_dataset.py`).
 *
 * @param format - the format
 * @param vocabularySize - of the dictionary; `undefined` where the numbers are no ids (alignments)
 */
export function storageOf(format: BinaryFormat, vocabularySize: number | undefined): Storage {
  if (format !== 'mmap') return { format: 'cached', element: 'int32', bias: 1 };
  const element = vocabularySize === undefined ? 'uint32' : elementForVocabulary(vocabularySize);
  return { format: 'mmap', element, bias: 0 };
}

/** A dataset, or a part of one, that is being made: ids in one file, int32 sentence sizes in another. */
export interface DatasetPart {
  readonly tokensPath: string;
  readonly sizesPath: string;
}

/** Names for the parts of a dataset, beside its final files and unlike them. */
export function partPaths(prefix: string, count: number): DatasetPart[] {
  return Array.from({ length: count }, () => ({
    tokensPath: temporaryName(`${prefix}.bin`),
    sizesPath: temporaryName(`${prefix}.idx`),
  }));
}

/** Removes what is left of parts. */
export async function removeParts(parts: readonly DatasetPart[]): Promise<void> {
  await Promise.all(
    parts.flatMap((part) => [rm(part.tokensPath, { force: true }), rm(part.sizesPath, { force: true })]),
  );
}

/** Sentence sizes (int32) that lie together in a file. */
export interface SizeRun {
  readonly path: string;
  /** First sentence in the file. */
  readonly from: number;
  readonly sentences: number;
}

/**
 * Makes `.bin` and `.idx`, which get their names when both are complete. Memory: constant.
 *
 * @param prefix - path without suffix
 * @param tokensPath - the ids, as the `.bin` file has them; it is used up
 * @param sizes - the sizes of the sentences, in order
 * @param storage - how the ids are stored
 * @param tokensWritten - resolves when the ids are there; the index is written meanwhile
 * @throws KnnLmError `FILE_…`; the error of `tokensWritten`
 */
export async function finishDataset(
  prefix: string,
  tokensPath: string,
  sizes: readonly SizeRun[],
  storage: Storage,
  tokensWritten: Promise<void> = Promise.resolve(),
): Promise<void> {
  const indexPath = temporaryName(`${prefix}.idx`);
  try {
    await waitForAll([tokensWritten.then(() => syncFile(tokensPath)), writeIndex(indexPath, sizes, storage)]);
    await rename(tokensPath, `${prefix}.bin`);
    await rename(indexPath, `${prefix}.idx`);
  } catch (cause) {
    throw describeFileError(cause, prefix, 'write the dataset');
  } finally {
    await rm(indexPath, { force: true });
  }
}

async function writeIndex(
  path: string,
  sizes: readonly SizeRun[],
  { format, element }: Storage,
): Promise<void> {
  const index = await open(path, 'wx');
  try {
    await (format === 'mmap'
      ? writeMmapIndex(index, sizes, element)
      : writeCachedIndex(index, sizes, element));
    await index.sync();
  } finally {
    await index.close();
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The layout is described in dataset-index.ts. */
async function writeMmapIndex(
  file: FileHandle,
  sizes: readonly SizeRun[],
  element: ElementName,
): Promise<void> {
  const header = Buffer.alloc(26);
  header.write('MMIDIDX\0\0', 'latin1');
  header.writeBigUInt64LE(1n, 9);
  header.writeUInt8(elementCodes.indexOf(element), 17);
  header.writeBigUInt64LE(BigInt(countSentences(sizes)), 18);
  await file.writeFile(header);
  for (const some of readSizes(sizes)) await file.writeFile(bytesOf(some));
  let offset = 0;
  await writeLongs(file, sizes, (size) => {
    const pointer = offset;
    offset += size * elementBytes[element];
    return pointer;
  });
}

async function writeCachedIndex(
  file: FileHandle,
  sizes: readonly SizeRun[],
  element: ElementName,
): Promise<void> {
  const count = countSentences(sizes);
  const header = Buffer.alloc(48);
  header.write('TNTIDX\0\0', 'latin1');
  const values = [1, elementCodes.indexOf(element), elementBytes[element], count, count];
  values.forEach((value, i) => header.writeBigUInt64LE(BigInt(value), 8 + i * 8));
  await file.writeFile(header);
  let sentence = 0;
  await file.writeFile(new Uint8Array(8));
  await writeLongs(file, sizes, () => ++sentence);
  let offset = 0;
  await file.writeFile(new Uint8Array(8));
  await writeLongs(file, sizes, (size) => (offset += size));
  await writeLongs(file, sizes, (size) => size);
}

function countSentences(sizes: readonly SizeRun[]): number {
  return sizes.reduce((sum, run) => sum + run.sentences, 0);
}

/** Sizes read at a time. */
const PIECE = 65_536;

/** All sizes, in order; a piece holds until the next one is asked for. */
function* readSizes(runs: readonly SizeRun[]): Generator<Int32Array> {
  const buffer = new Int32Array(PIECE);
  for (const { path, from, sentences } of runs) {
    const file = new RandomAccessFile(path, 'read the sentence sizes');
    try {
      for (let done = 0; done < sentences; done += PIECE) {
        const some = buffer.subarray(0, Math.min(PIECE, sentences - done));
        file.read(bytesOf(some), (from + done) * 4);
        yield some;
      }
    } finally {
      file.close();
    }
  }
}

/** Writes an int64 for each sentence size, in order. */
async function writeLongs(
  file: FileHandle,
  sizes: readonly SizeRun[],
  valueOf: (size: number) => number,
): Promise<void> {
  for (const some of readSizes(sizes)) await file.writeFile(longsOf(some, valueOf));
}

/**
 * int64 values, little-endian.
 *
 * @param sizes - sentence sizes
 * @param valueOf - gives the value for each, in order: 0 to 2^53
 */
export function longsOf(sizes: Int32Array, valueOf: (size: number) => number): Uint8Array {
  const halves = new Uint32Array(sizes.length * 2);
  for (let i = 0; i < sizes.length; i++) {
    const value = valueOf(sizes[i]);
    // The low 32 bits, and the rest.
    halves[2 * i] = value;
    halves[2 * i + 1] = value / 2 ** 32;
  }
  return bytesOf(halves);
}

function bytesOf({ buffer, byteOffset, byteLength }: Int32Array | Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
