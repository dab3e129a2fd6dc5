import { readIndexFileHeader, type IndexFileHeader, type ListsFile } from '@knn-lm/faiss';
import { isFactoryString, type CheckedBuildOptions } from './build-options.js';
import { KnnIndexError } from './errors.js';
import { checkIndexDatastore, type ComparedSource } from './index-datastore.js';
import { bytesOf } from './index-files.js';
import { matchesDigest, readIndexRecord } from './index-record.js';

interface Shape {
  readonly rows: number;
  readonly dimension: number;
}

/**
 * Checks that a trained index is what would be trained now, as far as its shape tells.
 *
 * @param path - the trained index
 * @param source - the datastore
 * @param options - what is wanted
 * @throws {@link KnnIndexError} `KNN_INDEX_TRAINED_MISMATCH`; `FaissError` `FAISS_INDEX_FORMAT`
 */
export async function checkTrainedIndex(
  path: string,
  { dimension }: Shape,
  options: CheckedBuildOptions,
): Promise<void> {
  if (isFactoryString(options.type)) return checkTrainedRecord(path, dimension, options);
  const { centroids, codeSize, bitsPerIndex } = options;
  const header = readIndexFileHeader(path);
  const wanted = describeShape({ dimension, centroids, codeSize, bitsPerIndex });
  const found =
    header.type === 'IndexIVFPQ' ? describeShape(header) : `an index of another kind (${kindOf(header)})`;
  const state =
    header.type !== 'IndexIVFPQ' || found !== wanted
      ? found
      : !header.trained
        ? 'not trained'
        : header.size > 0
          ? `not empty (${header.size} entries)`
          : undefined;
  if (state === undefined) return;
  throw new KnnIndexError(
    'KNN_INDEX_TRAINED_MISMATCH',
    `${path} is ${state}, but ${wanted} is wanted, trained and empty`,
    {
      hint: 'Give the same options as when it was trained, remove the file, or give --overwrite to train again.',
      details: { path },
    },
  );
}

/** Of a kind whose parts cannot be checked: the record beside the file has to say that it is ours and unchanged. */
async function checkTrainedRecord(
  path: string,
  dimension: number,
  options: CheckedBuildOptions,
): Promise<void> {
  const record = readIndexRecord(path);
  const wanted = `${options.type} of ${dimension} dimensions`;
  const found =
    record === undefined
      ? 'an index without a record of its kind'
      : record.type !== options.type || record.dimension !== dimension
        ? `${record.type} of ${record.dimension} dimensions`
        : (await matchesDigest(path, record, options))
          ? undefined
          : 'not the file that was written: its checksum has changed';
  if (found === undefined) return;
  throw new KnnIndexError('KNN_INDEX_TRAINED_MISMATCH', `${path} is ${found}, but ${wanted} is wanted`, {
    hint: 'Give the same options as when it was trained, remove the file, or give --overwrite to train again.',
    details: { path },
  });
}

/**
 * Checks that a finished index belongs to a datastore.
 *
 * @param path - the finished index
 * @param source - how many keys of how many dimensions it has to have
 * @param datastore - compared with the one that its record names
 * @returns what it is, in one line
 * @throws {@link KnnIndexError} `KNN_INDEX_SIZE`, `KNN_INDEX_DIMENSION`, `KNN_INDEX_KIND`, `KNN_INDEX_DATASTORE`; `FaissError`
 * `FAISS_INDEX_FORMAT`
 */
export function describeFinishedIndex(path: string, source: Shape, datastore?: ComparedSource): string {
  const description = describeShapeOf(path, source);
  if (datastore !== undefined) checkIndexDatastore(path, readIndexRecord(path), datastore);
  return description;
}

function describeShapeOf(path: string, source: Shape): string {
  const header = readIndexFileHeader(path);
  if (header.type === 'other') {
    const record = readIndexRecord(path);
    if (record === undefined) {
      throw new KnnIndexError(
        'KNN_INDEX_KIND',
        `${path} is a Faiss index of kind ${header.fourcc}, without a record of how it was built`,
        {
          hint: 'Give --overwrite to build the index again.',
          details: { path, found: header.fourcc },
        },
      );
    }
    checkSize(path, record.rows, source.rows);
    checkDimension(path, record.dimension, source.dimension);
    return `${record.type}: ${record.rows} vectors of ${record.dimension} dimensions`;
  }
  checkSize(path, header.size, source.rows);
  checkDimension(path, header.dimension, source.dimension);
  const about = `${header.type}: ${header.size} vectors of ${header.dimension} dimensions`;
  if (header.type === 'IndexFlat') return about;
  const codes =
    header.type === 'IndexIVFPQ' ? `, ${header.codeSize} codes of ${header.bitsPerIndex} bits` : '';
  return `${about}, ${header.centroids} centroids${codes}, nprobe ${header.nprobe}`;
}

function checkDimension(path: string, found: number, expected: number): void {
  if (found === expected) return;
  throw new KnnIndexError(
    'KNN_INDEX_DIMENSION',
    `${path} has ${found} dimensions, but the keys have ${expected}`,
    {
      hint: 'Check the folder, or give --overwrite to build the index again.',
      details: { found, expected, path },
    },
  );
}

/**
 * Throws when an index has not one entry for each row of the datastore.
 *
 * @throws {@link KnnIndexError} `KNN_INDEX_SIZE`
 */
export function checkSize(path: string, found: number, expected: number): void {
  if (found === expected) return;
  throw new KnnIndexError(
    'KNN_INDEX_SIZE',
    `${path} has ${found} entries, but the datastore has ${expected}`,
    {
      hint:
        found < expected
          ? 'If the datastore has grown, add its new keys with --append; otherwise build the index again (--overwrite).'
          : 'The index belongs to another datastore; build it again (--overwrite).',
      details: { found, expected, path },
    },
  );
}

function describeShape(shape: {
  readonly dimension: number;
  readonly centroids: number;
  readonly codeSize: number;
  readonly bitsPerIndex: number;
}): string {
  const { dimension, centroids, codeSize, bitsPerIndex } = shape;
  return `an IndexIVFPQ of ${dimension} dimensions, ${centroids} centroids and ${codeSize} codes of ${bitsPerIndex} bits`;
}

function kindOf(header: IndexFileHeader): string {
  return header.type === 'other' ? header.fourcc : header.type;
}

/** Bytes of an index file and of the file of its lists. */
export function bytesOfIndex(path: string): number {
  return bytesOf(path) + (listsOf(path)?.bytes ?? 0);
}

/** The file of an index's lists, where they are in one of their own and the kind is one that is looked into. */
export function listsOf(path: string): ListsFile | undefined {
  const header = readIndexFileHeader(path);
  return 'listsFile' in header ? header.listsFile : undefined;
}
