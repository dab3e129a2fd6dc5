import { KnnLmError, RandomAccessFile } from '@knn-lm/common';
import { findListsFile, type ListsFile } from './lists-file.js';
import { MAX_DIMENSION } from './arguments.js';
import { FaissError } from './errors.js';

/** What the first bytes of a Faiss index file say. */
export type IndexFileHeader = FlatHeader | IvfFlatHeader | IvfPqHeader | OtherHeader;

interface CommonHeader {
  /** Dimensions of a vector. */
  readonly dimension: number;
  /** Vectors in the index. */
  readonly size: number;
  /** Whether it is trained. */
  readonly trained: boolean;
  /** How neighbours are ranked. */
  readonly metric: 'l2' | 'innerProduct';
}

interface InvertedHeader extends CommonHeader {
  /** Coarse centroids. */
  readonly centroids: number;
  /** Lists a search looks through. */
  readonly nprobe: number;
  /** Where the file keeps nprobe, as an unsigned 64-bit integer. */
  readonly nprobeByteOffset: number;
  /** The file that holds the inverted lists; `undefined` where they are in this one. */
  readonly listsFile: ListsFile | undefined;
}

/** An exact index. */
export interface FlatHeader extends CommonHeader {
  /** Discriminates the kinds. */
  readonly type: 'IndexFlat';
}

/** An inverted file of whole vectors. */
export interface IvfFlatHeader extends InvertedHeader {
  /** Discriminates the kinds. */
  readonly type: 'IndexIVFFlat';
}

/** An inverted file of product-quantized residuals. */
export interface IvfPqHeader extends InvertedHeader {
  /** Discriminates the kinds. */
  readonly type: 'IndexIVFPQ';
  /** Codes a vector. */
  readonly codeSize: number;
  /** Bits of one code. */
  readonly bitsPerIndex: number;
}

/** A kind of index whose parts are not known here. */
export interface OtherHeader {
  /** Discriminates the kinds. */
  readonly type: 'other';
  /** The four letters that name its kind. */
  readonly fourcc: string;
}

/**
 * Reads what an index file holds, without loading it: the layout of `faiss/impl/index_write.cpp` (1.7.3), with every
 * size checked against the file's, and against that of the file of its lists where there is one.
 *
 * @param path - the file
 * @throws {@link FaissError} `FAISS_INDEX_FORMAT` when it is empty, cut short, or contradicts itself; `FAISS_LISTS_FILE`
 * when the file of its lists is missing or cut short; `FILE_…`
 */
export function readIndexFileHeader(path: string): IndexFileHeader {
  const file = new RandomAccessFile(path, 'read the index');
  try {
    return readHeader(new Cursor(file));
  } catch (cause) {
    if (!(cause instanceof KnnLmError) || cause.code !== 'FILE_TRUNCATED') throw cause;
    throw formatError(path, `the file ends at byte ${file.size}, in the middle of the index`, cause);
  } finally {
    file.close();
  }
}

/**
 * Throws unless the file can be given to Faiss, which itself allocates what a damaged file asks for and reads where it
 * points.
 *
 * @param path - the file
 * @param trusted - also accept kinds whose parts are not checked here
 * @returns whether its lists are known to be in another file
 * @internal
 */
export function checkIndexFile(path: string, trusted: boolean): boolean {
  const header = readIndexFileHeader(path);
  if (header.type !== 'other') return 'listsFile' in header && header.listsFile !== undefined;
  if (trusted) return false;
  throw new FaissError(
    'FAISS_INDEX_KIND',
    `${path}: an index of kind ${header.fourcc} cannot be checked before it is read`,
    {
      hint: 'Only IndexFlat, IndexIVFFlat and IndexIVFPQ can; give `trusted: true` if the file is known to be sound.',
      details: { path, found: header.fourcc },
    },
  );
}

function formatError(path: string, message: string, cause?: unknown): FaissError {
  return new FaissError('FAISS_INDEX_FORMAT', `${path}: ${message}`, {
    hint: 'The file is damaged or cut short, or is no Faiss index; build or copy it again.',
    details: { path },
    cause,
  });
}

/** Reads little-endian fields one after another. */
class Cursor {
  position = 0;

  constructor(readonly file: RandomAccessFile) {}

  #view(byteLength: number): DataView {
    const bytes = this.file.readBytes(this.position, byteLength);
    this.position += byteLength;
    return new DataView(bytes.buffer, bytes.byteOffset, byteLength);
  }

  fourcc(): string {
    const view = this.#view(4);
    return String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(i)));
  }

  byte(): number {
    return this.#view(1).getUint8(0);
  }

  flag(name: string): boolean {
    const value = this.byte();
    if (value > 1)
      throw this.wrong(`${name}, at byte ${this.position - 1}, is ${value}; 0 and 1 are possible`);
    return value === 1;
  }

  int32(): number {
    return this.#view(4).getInt32(0, true);
  }

  /** A 64-bit integer that has to be exact as a number. */
  integer(name: string, maximum = Number.MAX_SAFE_INTEGER): number {
    const start = this.position;
    const value = Number(this.#view(8).getBigUint64(0, true));
    if (value > maximum)
      throw this.wrong(`${name} at byte ${start} is ${value}; at most ${maximum} is possible`);
    return value;
  }

  /** Length of a vector of elements that follow; the file has to hold them. */
  skipVector(name: string, bytesPerElement: number): number {
    const start = this.position;
    const length = this.integer(name);
    this.skip(`${name}: ${length} elements from byte ${start} on`, length * bytesPerElement);
    return length;
  }

  skip(what: string, byteLength: number): void {
    if (this.position + byteLength > this.file.size) {
      throw this.wrong(
        `${what} need ${byteLength} bytes from byte ${this.position} on, but the file ends at byte ${this.file.size}`,
      );
    }
    this.position += byteLength;
  }

  integers(name: string): number[] {
    const start = this.position;
    const length = this.skipVector(name, 8);
    const view = new DataView(this.file.readBytes(start + 8, length * 8).buffer);
    return Array.from({ length }, (_, i) => Number(view.getBigUint64(i * 8, true)));
  }

  text(name: string): string {
    const start = this.position;
    const length = this.skipVector(name, 1);
    return new TextDecoder().decode(this.file.readBytes(start + 8, length));
  }

  wrong(message: string): FaissError {
    return formatError(this.file.path, message);
  }

  expectEqual(what: string, found: number, expected: number): void {
    if (found !== expected) throw this.wrong(`${what} is ${found}, but ${expected} follows from the rest`);
  }
}

function readHeader(cursor: Cursor): IndexFileHeader {
  if (cursor.file.size === 0) throw cursor.wrong('the file is empty');
  const fourcc = cursor.fourcc();
  if (!/^I[A-Za-z0-9]{3}$/.test(fourcc)) {
    throw cursor.wrong(`begins with ${JSON.stringify(fourcc)}, which is no Faiss index (IwPQ, IxF2, …)`);
  }
  if (/^IxF[2Il]$/.test(fourcc)) return readFlat(cursor);
  try {
    if (fourcc === 'IwPQ') return readIvfPq(cursor);
    if (fourcc === 'IwFl') return readIvfFlat(cursor);
  } catch (cause) {
    if (!(cause instanceof OtherQuantizer)) throw cause;
    return { type: 'other', fourcc: `${fourcc} over ${cause.message}` };
  }
  return { type: 'other', fourcc };
}

/** The coarse quantizer is an index of a kind that is not checked here; its fourcc is the message. */
class OtherQuantizer extends Error {}

function readCommon(cursor: Cursor): CommonHeader {
  const dimension = cursor.int32();
  if (dimension < 1 || dimension > MAX_DIMENSION) throw cursor.wrong(`the dimension is ${dimension}`);
  const size = cursor.integer('the number of vectors');
  cursor.skip('reserved fields', 16);
  const trained = cursor.flag('whether it is trained');
  const metric = cursor.int32();
  if (metric !== 0 && metric !== 1) {
    throw cursor.wrong(`the metric is ${metric}; 0 (inner product) and 1 (L2) are known`);
  }
  return { dimension, size, trained, metric: metric === 1 ? 'l2' : 'innerProduct' };
}

function readFlat(cursor: Cursor): FlatHeader {
  const common = readCommon(cursor);
  const numbers = cursor.skipVector('the vectors', 4);
  cursor.expectEqual('the length of the vectors', numbers, common.size * common.dimension);
  return { type: 'IndexFlat', ...common };
}

function readIvfPq(cursor: Cursor): IvfPqHeader {
  const inverted = readInverted(cursor);
  const { codeSize, bitsPerIndex, codeBytes } = readProductQuantizer(cursor, inverted);
  const listsFile = readInvertedLists(cursor, inverted, codeBytes);
  return { type: 'IndexIVFPQ', ...inverted, codeSize, bitsPerIndex, listsFile };
}

function readIvfFlat(cursor: Cursor): IvfFlatHeader {
  const inverted = readInverted(cursor);
  const listsFile = readInvertedLists(cursor, inverted, inverted.dimension * 4);
  return { type: 'IndexIVFFlat', ...inverted, listsFile };
}

type InvertedFields = Omit<InvertedHeader, 'listsFile'>;

function readInverted(cursor: Cursor): InvertedFields {
  const common = readCommon(cursor);
  // A list takes 8 bytes at least, for its size.
  const centroids = cursor.integer('the number of centroids', Math.floor(cursor.file.size / 8));
  const nprobeByteOffset = cursor.position;
  const nprobe = cursor.integer('nprobe');
  readCoarseQuantizer(cursor, common, centroids);
  readDirectMap(cursor);
  return { ...common, centroids, nprobe, nprobeByteOffset };
}

function readCoarseQuantizer(cursor: Cursor, index: CommonHeader, centroids: number): void {
  const fourcc = cursor.fourcc();
  if (/^I[A-Za-z0-9]{3}$/.test(fourcc) && !fourcc.startsWith('IxF')) throw new OtherQuantizer(fourcc);
  if (!/^IxF[2Il]$/.test(fourcc)) {
    throw cursor.wrong(
      `the coarse quantizer is of kind ${JSON.stringify(fourcc)}, but an exact one is expected`,
    );
  }
  const quantizer = readFlat(cursor);
  cursor.expectEqual('the dimension of the coarse quantizer', quantizer.dimension, index.dimension);
  if (index.trained) cursor.expectEqual('the number of coarse centroids', quantizer.size, centroids);
}

function readDirectMap(cursor: Cursor): void {
  const kind = cursor.byte();
  if (kind > 2) throw cursor.wrong(`the direct map is of kind ${kind}; 0 to 2 are known`);
  cursor.skipVector('the direct map', 8);
  if (kind === 2) cursor.skipVector('the hash table of the direct map', 16);
}

function readProductQuantizer(
  cursor: Cursor,
  index: CommonHeader,
): { codeSize: number; bitsPerIndex: number; codeBytes: number } {
  cursor.flag('whether residuals are encoded');
  const codeBytes = cursor.integer('the bytes of a code', index.dimension * 8);
  const dimension = cursor.integer('the dimension of the product quantizer');
  const codeSize = cursor.integer('the code size', index.dimension);
  const bitsPerIndex = cursor.integer('the bits per index', 24);
  cursor.expectEqual('the dimension of the product quantizer', dimension, index.dimension);
  if (codeSize === 0 || dimension % codeSize !== 0 || bitsPerIndex === 0) {
    throw cursor.wrong(
      `${codeSize} codes of ${bitsPerIndex} bits are no product quantizer of ${dimension} dimensions`,
    );
  }
  cursor.expectEqual('the bytes of a code', codeBytes, Math.ceil((codeSize * bitsPerIndex) / 8));
  const centroids = cursor.skipVector('the product centroids', 4);
  cursor.expectEqual('the number of product centroids', centroids, dimension * 2 ** bitsPerIndex);
  return { codeSize, bitsPerIndex, codeBytes };
}

function readInvertedLists(cursor: Cursor, index: InvertedFields, codeBytes: number): ListsFile | undefined {
  const { centroids } = index;
  const fourcc = cursor.fourcc();
  if (fourcc !== 'ilar' && fourcc !== 'ilod') {
    throw cursor.wrong(
      `the inverted lists are of kind ${JSON.stringify(fourcc)}, but lists in this file (ilar) or beside it (ilod) are expected`,
    );
  }
  cursor.expectEqual(
    'the number of inverted lists',
    cursor.integer('the number of inverted lists'),
    centroids,
  );
  cursor.expectEqual('the bytes of a code in the lists', cursor.integer('the bytes of a code'), codeBytes);
  if (fourcc === 'ilod') return readListsFile(cursor, index, codeBytes + 8);
  const entries = readListSizes(cursor, centroids).reduce((sum, size) => sum + size, 0);
  cursor.expectEqual('the number of vectors', index.size, entries);
  cursor.skip(`${entries} entries of the inverted lists`, entries * (codeBytes + 8));
  return undefined;
}

/** Lists in a file of their own: size, capacity and offset of each, unused places, the file's name and length. */
function readListsFile(cursor: Cursor, index: InvertedFields, entryBytes: number): ListsFile {
  const at = cursor.position;
  const count = cursor.skipVector('the places of the inverted lists', 24);
  cursor.expectEqual('the number of places of inverted lists', count, index.centroids);
  const places = new DataView(cursor.file.readBytes(at + 8, count * 24).buffer);
  cursor.skipVector('the unused places of the lists', 16);
  const stored = cursor.text('the name of the file of the lists');
  const bytes = cursor.integer('the length of the file of the lists');
  let entries = 0;
  for (let list = 0; list < count; list++) {
    const [size, capacity, offset] = [0, 8, 16].map((field) =>
      Number(places.getBigUint64(list * 24 + field, true)),
    );
    entries += size;
    if (capacity === 0 && size === 0) continue;
    if (size > capacity || offset + capacity * entryBytes > bytes) {
      throw cursor.wrong(`list ${list} has ${size} entries at byte ${offset} of ${bytes}`);
    }
  }
  cursor.expectEqual('the number of vectors', index.size, entries);
  return findListsFile(cursor.file.path, stored, bytes);
}

function readListSizes(cursor: Cursor, centroids: number): number[] {
  const kind = cursor.fourcc();
  const numbers = cursor.integers('the sizes of the inverted lists');
  if (kind === 'full') {
    cursor.expectEqual('the number of list sizes', numbers.length, centroids);
    return numbers;
  }
  if (kind !== 'sprs')
    throw cursor.wrong(`list sizes of kind ${JSON.stringify(kind)}; full and sprs are known`);
  // Pairs of list and size, of the lists that are not empty.
  const lists = numbers.filter((_, i) => i % 2 === 0);
  const outside = lists.find((list) => list >= centroids);
  if (outside !== undefined) throw cursor.wrong(`a size for list ${outside} of ${centroids}`);
  return numbers.filter((_, i) => i % 2 === 1);
}
