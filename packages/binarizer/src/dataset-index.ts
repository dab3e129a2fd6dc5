import type { RandomAccessFile } from '@knn-lm/common';
import { BinarizerError } from './errors.js';
import { elementBytes, elementCodes, type ElementName } from './element-type.js';

/** Formats of fairseq's datasets. `lazy` and `cached` are one format on disk; `raw` is text. */
export type DatasetFormat = 'mmap' | 'cached' | 'lazy' | 'raw';

/** What an `.idx` file says. */
export interface DatasetIndex {
  readonly format: 'mmap' | 'cached';
  readonly element: ElementName;
  /** Added to every id in the `.bin` file: 1 in the `cached` format, which comes from Lua. */
  readonly bias: 0 | 1;
  /** `[sentences]` tokens of each sentence. */
  readonly sizes: Int32Array;
  /** Sum of the sizes. */
  readonly tokenCount: number;
}

const MMAP_MAGIC = 'MMIDIDX\0\0';
const CACHED_MAGIC = 'TNTIDX\0\0';
const HUFFMAN_MAGIC = 'HUFFIDX\0\0';

/** 64-bit values of the index are checked in pieces of this many, so that memory does not grow with them. */
const PIECE = 65_536;

/**
 * Reads and checks an `.idx` file, whose magic bytes tell the format. Nothing is allocated that the file is too short for.
 *
 * @param file - the open `.idx` file
 * @throws {@link BinarizerError} `IDX_…`
 */
export function readDatasetIndex(file: RandomAccessFile): DatasetIndex {
  const magic = Buffer.from(file.readBytes(0, Math.min(9, file.size))).toString('latin1');
  if (magic === MMAP_MAGIC) return readMmapIndex(file);
  if (magic.startsWith(CACHED_MAGIC)) return readCachedIndex(file);
  const known = magic === HUFFMAN_MAGIC ? ' (a Huffman-coded dataset, which is not supported)' : '';
  throw new BinarizerError(
    'IDX_MAGIC',
    `${file.path}: begins with ${JSON.stringify(magic)}${known}, which is not the magic of a dataset index`,
    {
      hint: 'Make the dataset again with fairseq-preprocess (--dataset-impl mmap).',
      details: { path: file.path, byteOffset: 0, found: magic, expected: `${MMAP_MAGIC} or ${CACHED_MAGIC}` },
    },
  );
}

/** mmap: magic (9), version u64, type code u8, count u64, sizes int32[count], byte offsets int64[count]. */
function readMmapIndex(file: RandomAccessFile): DatasetIndex {
  const header = view(file, 9, 17);
  checkVersion(file, 9, header.getBigUint64(0, true));
  const element = elementOf(file, 17, BigInt(header.getUint8(8)));
  const count = checkedCount(file, 18, header.getBigUint64(9, true), 26, 12);
  const sizes = new Int32Array(count);
  file.read(new Uint8Array(sizes.buffer), 26);
  const tokenCount = sumSizes(file, 26, 4, sizes);
  let expected = 0;
  checkLongs(file, 26 + count * 4, count, (i) => {
    const pointer = expected;
    expected += sizes[i] * elementBytes[element];
    return pointer;
  });
  return { format: 'mmap', element, bias: 0, sizes, tokenCount };
}

/**
 * cached: magic (8), then u64: version, type code, element size, count, number of sizes; int64: dim_offsets[count + 1],
 * data_offsets[count + 1] (in elements), sizes. Sentences have one dimension, so that there is a size for each.
 */
function readCachedIndex(file: RandomAccessFile): DatasetIndex {
  const header = view(file, 8, 40);
  checkVersion(file, 8, header.getBigUint64(0, true));
  const element = cachedElement(file, header.getBigUint64(8, true), header.getBigUint64(16, true));
  // Two arrays hold one value more than there are sentences: 16 bytes beside 24 for each.
  const count = checkedCount(file, 32, header.getBigUint64(24, true), 48 + 16, 24);
  const sizeCount = header.getBigUint64(32, true);
  if (sizeCount !== BigInt(count)) {
    throw mismatch(file, 40, 'the number of sizes', sizeCount, `${count} (one for each sentence)`);
  }
  const sizesOffset = 48 + 16 * (count + 1);
  const sizes = new Int32Array(count);
  forEachLong(file, sizesOffset, count, (i, value, byteOffset) => {
    if (value < 0n || value > 0x7fffffffn)
      throw mismatch(file, byteOffset, 'a size', value, '0 to 2147483647');
    sizes[i] = Number(value);
  });
  const tokenCount = sumSizes(file, sizesOffset, 8, sizes);
  checkLongs(file, 48, count + 1, (i) => i);
  let expected = 0;
  checkLongs(file, 48 + 8 * (count + 1), count + 1, (i) => {
    if (i > 0) expected += sizes[i - 1];
    return expected;
  });
  return { format: 'cached', element, bias: 1, sizes, tokenCount };
}

function view(file: RandomAccessFile, byteOffset: number, byteLength: number): DataView {
  if (file.size < byteOffset + byteLength) {
    throw new BinarizerError(
      'IDX_TRUNCATED',
      `${file.path}: has ${file.size} bytes, but its header alone has ${byteOffset + byteLength}`,
      truncated(file, file.size, byteOffset + byteLength),
    );
  }
  const bytes = file.readBytes(byteOffset, byteLength);
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function truncated(file: RandomAccessFile, found: number, expected: number) {
  return {
    hint: 'The file is cut short or damaged; copy it again, or make it again with fairseq-preprocess.',
    details: { path: file.path, byteOffset: file.size, found, expected },
  };
}

function mismatch(
  file: RandomAccessFile,
  byteOffset: number,
  what: string,
  found: bigint | number,
  expected: string,
) {
  return new BinarizerError(
    'IDX_DAMAGED',
    `${file.path}: ${what} at byte ${byteOffset} is ${found}; expected ${expected}`,
    {
      hint: 'The file is damaged; copy it again, or make it again with fairseq-preprocess.',
      details: { path: file.path, byteOffset, found, expected },
    },
  );
}

function checkVersion(file: RandomAccessFile, byteOffset: number, version: bigint): void {
  if (version === 1n) return;
  throw new BinarizerError(
    'IDX_VERSION',
    `${file.path}: version ${version} at byte ${byteOffset}; expected 1`,
    {
      hint: 'Only version 1 is known; make the dataset again with fairseq-preprocess.',
      details: { path: file.path, byteOffset, found: version, expected: 1 },
    },
  );
}

function elementOf(file: RandomAccessFile, byteOffset: number, code: bigint): ElementName {
  const element = code < 11n ? elementCodes[Number(code)] : undefined;
  if (element !== undefined) return element;
  throw new BinarizerError(
    'IDX_DTYPE',
    `${file.path}: type code ${code} at byte ${byteOffset}; expected 1 to 10`,
    {
      hint: 'The file is damaged; copy it again, or make it again with fairseq-preprocess.',
      details: { path: file.path, byteOffset, found: code, expected: '1 to 10' },
    },
  );
}

function cachedElement(file: RandomAccessFile, code: bigint, elementSize: bigint): ElementName {
  const element = elementOf(file, 16, code);
  // Lua's code 6 is a single-precision float; fairseq reads it as a double.
  if (code === 6n && elementSize === 4n) return 'float32';
  if (elementSize === BigInt(elementBytes[element])) return element;
  throw mismatch(file, 24, 'the element size', elementSize, `${elementBytes[element]} (${element})`);
}

/** The number of sentences, which must account for the file's size to the byte. */
function checkedCount(
  file: RandomAccessFile,
  at: number,
  count: bigint,
  fixedBytes: number,
  bytesEach: number,
): number {
  const expected = BigInt(fixedBytes) + count * BigInt(bytesEach);
  if (expected === BigInt(file.size)) return Number(count);
  throw new BinarizerError(
    expected > BigInt(file.size) ? 'IDX_TRUNCATED' : 'IDX_SIZE',
    `${file.path}: has ${file.size} bytes, but ${count} sentences (the count at byte ${at}) take ${expected}`,
    {
      hint: 'The file is cut short or damaged; copy it again, or make it again with fairseq-preprocess.',
      details: { path: file.path, byteOffset: at, found: file.size, expected },
    },
  );
}

function sumSizes(file: RandomAccessFile, byteOffset: number, bytesEach: number, sizes: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < sizes.length; i++) {
    if (sizes[i] < 0) throw mismatch(file, byteOffset + i * bytesEach, 'a size', sizes[i], '0 or more');
    sum += sizes[i];
  }
  return sum;
}

function forEachLong(
  file: RandomAccessFile,
  byteOffset: number,
  count: number,
  use: (i: number, value: bigint, byteOffset: number) => void,
): void {
  for (let start = 0; start < count; start += PIECE) {
    const length = Math.min(PIECE, count - start);
    const values = view(file, byteOffset + start * 8, length * 8);
    for (let i = 0; i < length; i++) {
      use(start + i, values.getBigInt64(i * 8, true), byteOffset + (start + i) * 8);
    }
  }
}

/** The offsets must be those of sentences that lie one after the other, which flat token ranges rely on. */
function checkLongs(
  file: RandomAccessFile,
  byteOffset: number,
  count: number,
  expectedAt: (i: number) => number,
): void {
  forEachLong(file, byteOffset, count, (i, value, at) => {
    const expected = expectedAt(i);
    if (Number(value) !== expected) throw mismatch(file, at, 'an offset', value, String(expected));
  });
}
