import { open, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { describeFileError, temporaryName } from '@knn-lm/common';
import { appendFileTo } from './append-file.js';
import { elementBytes, elementCodes, elementForVocabulary, type ElementName } from './element-type.js';

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

/** A finished piece of a dataset: ids in one file, int32 sentence sizes in another. */
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

/**
 * Makes `.bin` and `.idx` of parts, which are used up. Both get their names when they are complete. Memory: constant.
 *
 * @param prefix - path without suffix
 * @param parts - in order, at least one
 * @param storage - how the parts store ids
 * @throws KnnLmError `FILE_…`
 */
export async function joinParts(
  prefix: string,
  parts: readonly DatasetPart[],
  storage: Storage,
): Promise<void> {
  const indexPath = temporaryName(`${prefix}.idx`);
  try {
    await appendFiles(parts.map((part) => part.tokensPath));
    await appendFiles(parts.map((part) => part.sizesPath));
    await writeIndex(indexPath, parts[0].sizesPath, storage);
    await rename(parts[0].tokensPath, `${prefix}.bin`);
    await rename(indexPath, `${prefix}.idx`);
  } catch (cause) {
    throw describeFileError(cause, prefix, 'write the dataset');
  } finally {
    await removeParts(parts);
    await rm(indexPath, { force: true });
  }
}

/** Removes what is left of parts. */
export async function removeParts(parts: readonly DatasetPart[]): Promise<void> {
  await Promise.all(
    parts.flatMap((part) => [rm(part.tokensPath, { force: true }), rm(part.sizesPath, { force: true })]),
  );
}

/** Appends all other files to the first, removes them, and brings the first to the disk. */
async function appendFiles([first, ...others]: readonly string[]): Promise<void> {
  const target = await open(first, 'a');
  try {
    for (const path of others) {
      await appendFileTo(target, path);
      await rm(path);
    }
    await target.sync();
  } finally {
    await target.close();
  }
}

async function writeIndex(path: string, sizesPath: string, storage: Storage): Promise<void> {
  const file = await open(path, 'wx');
  const count = (await stat(sizesPath)).size / 4;
  try {
    if (storage.format === 'mmap') await writeMmapIndex(file, sizesPath, count, storage.element);
    else await writeCachedIndex(file, sizesPath, count, storage.element);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** The layout is described in dataset-index.ts. */
async function writeMmapIndex(
  file: FileHandle,
  sizesPath: string,
  count: number,
  element: ElementName,
): Promise<void> {
  const header = Buffer.alloc(26);
  header.write('MMIDIDX\0\0', 'latin1');
  header.writeBigUInt64LE(1n, 9);
  header.writeUInt8(elementCodes.indexOf(element), 17);
  header.writeBigUInt64LE(BigInt(count), 18);
  await file.writeFile(header);
  await appendFileTo(file, sizesPath);
  let offset = 0;
  await writeLongs(file, sizesPath, (size) => {
    const pointer = offset;
    offset += size * elementBytes[element];
    return pointer;
  });
}

async function writeCachedIndex(
  file: FileHandle,
  sizesPath: string,
  count: number,
  element: ElementName,
): Promise<void> {
  const header = Buffer.alloc(48);
  header.write('TNTIDX\0\0', 'latin1');
  const values = [1, elementCodes.indexOf(element), elementBytes[element], count, count];
  values.forEach((value, i) => header.writeBigUInt64LE(BigInt(value), 8 + i * 8));
  await file.writeFile(header);
  let sentence = 0;
  await file.writeFile(longBytes([0]));
  await writeLongs(file, sizesPath, () => ++sentence);
  let offset = 0;
  await file.writeFile(longBytes([0]));
  await writeLongs(file, sizesPath, (size) => (offset += size));
  await writeLongs(file, sizesPath, (size) => size);
}

/** Writes an int64 for each sentence size, in order. */
async function writeLongs(
  file: FileHandle,
  sizesPath: string,
  valueOf: (size: number) => number,
): Promise<void> {
  // The stream's pieces are whole multiples of 4 bytes, but for an odd one the system may give: see `rest`.
  let rest = new Uint8Array(0);
  for await (const piece of createReadStream(sizesPath, { highWaterMark: 2 ** 18 })) {
    const bytes = Buffer.concat([rest, piece as Buffer]);
    const whole = bytes.length - (bytes.length % 4);
    const values = new BigInt64Array(whole / 4);
    for (let i = 0; i < values.length; i++) values[i] = BigInt(valueOf(bytes.readInt32LE(i * 4)));
    await file.writeFile(new Uint8Array(values.buffer));
    rest = bytes.subarray(whole);
  }
}

function longBytes(values: readonly number[]): Uint8Array {
  return new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
}
