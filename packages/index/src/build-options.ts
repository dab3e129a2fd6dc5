import type { TaskOptions } from '@knn-lm/common';
import type { EngineName } from './engine.js';
import { KnnIndexError } from './errors.js';

/** What {@link buildIndex} is asked for. The defaults are those of the Python tool. */
export interface BuildOptions extends TaskOptions {
  /**
   * Kind of index: `IndexIVFPQ` (compressed and approximate), `IndexFlatL2` (exact), or one of Faiss's factory strings,
   * such as `OPQ64,IVF4096,PQ64np`, `IVF4096,PQ128x4fs` or `IVF4096,SQfp16`. A factory string says all there is to say:
   * `centroids`, `codeSize` and `bitsPerIndex` count for `IndexIVFPQ` alone.
   */
  readonly type: string;
  /** Coarse centroids. @default 4096 */
  readonly centroids?: number | undefined;
  /** Codes a key; divides the dimension. @default 64 */
  readonly codeSize?: number | undefined;
  /** Bits of a code, 1 to 8. @default 8 */
  readonly bitsPerIndex?: number | undefined;
  /** Lists that a search looks through, stored in the index. @default 32 */
  readonly nprobe?: number | undefined;
  /** Keys to train on, drawn at random. @default all */
  readonly trainedKeys?: number | undefined;
  /** Seed of that draw. @default 1 */
  readonly seed?: number | undefined;
  /** Keys read at a time at most; memory is bounded by 8,192 of them anyway. @default 500,000 */
  readonly batchSize?: number | undefined;
  /**
   * How often an unfinished index is saved while keys are added, in milliseconds; less often where saving would take
   * more than a tenth of the time. @default 300,000
   */
  readonly saveIntervalMs?: number | undefined;
  /** Builds a finished index again instead of keeping it. @default false */
  readonly overwrite?: boolean | undefined;
  /**
   * Adds the rows that the datastore has gained since the finished index was built, without training or building again.
   * @default false
   */
  readonly append?: boolean | undefined;
  /** Trains, and adds nothing. @default false */
  readonly trainOnly?: boolean | undefined;
  /** Into how many files the index is divided, each with contiguous rows of the datastore. @default 1 */
  readonly numShards?: number | undefined;
  /** Which of them to build, from 0. @default 0 */
  readonly shardId?: number | undefined;
  /**
   * Puts the inverted lists into a file of their own, which is mapped when the index is opened, and builds them in pieces,
   * so that an index larger than memory can be built. @default false, and what the index had when appending to it
   */
  readonly onDiskLists?: boolean | undefined;
  /** Bytes of keys' codes that are held in memory when building in pieces. @default 268,435,456 */
  readonly pieceBytes?: number | undefined;
  /** Where the index files go. @default the datastore's folder */
  readonly folder?: string | undefined;
  /** Threads. @default all cores */
  readonly threads?: number | undefined;
  /** Which Faiss. @default native */
  readonly engine?: EngineName | undefined;
}

/** Every option has a value, and each is in its range. */
export interface CheckedBuildOptions extends TaskOptions {
  readonly type: string;
  readonly centroids: number;
  readonly codeSize: number;
  readonly bitsPerIndex: number;
  readonly nprobe: number;
  readonly trainedKeys: number;
  readonly seed: number;
  readonly batchSize: number;
  readonly saveIntervalMs: number;
  readonly overwrite: boolean;
  readonly append: boolean;
  readonly trainOnly: boolean;
  readonly numShards: number;
  readonly shardId: number;
  readonly onDiskLists: boolean;
  readonly pieceBytes: number;
  readonly folder: string;
  readonly threads: number;
  readonly engine: EngineName;
}

/**
 * Fills in the defaults and checks what can be checked before any work.
 *
 * @throws {@link KnnIndexError} `KNN_INDEX_ARGUMENT`, `KNN_INDEX_TOO_FEW_KEYS`
 */
export function checkBuildOptions(
  options: BuildOptions,
  source: { readonly rows: number; readonly dimension: number; readonly folder: string },
): CheckedBuildOptions {
  const checked = {
    ...options,
    centroids: options.centroids ?? 4096,
    codeSize: options.codeSize ?? 64,
    bitsPerIndex: options.bitsPerIndex ?? 8,
    nprobe: options.nprobe ?? 32,
    trainedKeys: Math.min(options.trainedKeys ?? source.rows, source.rows),
    seed: options.seed ?? 1,
    batchSize: options.batchSize ?? 500_000,
    saveIntervalMs: options.saveIntervalMs ?? 300_000,
    overwrite: options.overwrite ?? false,
    append: options.append ?? false,
    trainOnly: options.trainOnly ?? false,
    numShards: options.numShards ?? 1,
    shardId: options.shardId ?? 0,
    onDiskLists: options.onDiskLists ?? false,
    pieceBytes: options.pieceBytes ?? 2 ** 28,
    folder: options.folder ?? source.folder,
    threads: options.threads ?? 0,
    engine: options.engine ?? 'native',
  };
  if (source.rows === 0) {
    throw new KnnIndexError('KNN_INDEX_TOO_FEW_KEYS', `${source.folder}: the datastore is empty`, {
      hint: 'Generate the datastore first.',
    });
  }
  whole('the batch size', checked.batchSize, 1);
  checkParts(checked, source.rows);
  if (checked.type === 'IndexFlatL2') return checked;
  checkTraining(checked);
  if (checked.type === 'IndexIVFPQ') checkIvfPq(checked, source.dimension);
  return checked;
}

/** Whether a type is one of Faiss's factory strings. */
export function isFactoryString(type: string): boolean {
  return type !== 'IndexIVFPQ' && type !== 'IndexFlatL2';
}

function checkParts(options: CheckedBuildOptions, rows: number): void {
  const { numShards, shardId, onDiskLists, append, trainOnly, type } = options;
  whole('the number of shards', numShards, 1, rows);
  whole('the shard', shardId, 0, numShards - 1);
  whole('the bytes of a piece', options.pieceBytes, 1);
  const refuse = (message: string, hint: string): never => {
    throw new KnnIndexError('KNN_INDEX_ARGUMENT', message, { hint });
  };
  if (append && numShards > 1)
    refuse('shards cannot be appended to', 'Append to the whole index; merge_index makes one of shards.');
  if (type === 'IndexFlatL2' && (trainOnly || numShards > 1 || onDiskLists))
    refuse(
      'an exact index is not trained, and has neither shards nor lists',
      'Choose IndexIVFPQ or a factory string with IVF.',
    );
}

function checkTraining(options: CheckedBuildOptions): void {
  whole('nprobe', options.nprobe, 1, 2 ** 31 - 1);
  whole('the number of trained keys', options.trainedKeys, 1);
  whole('the seed', options.seed, 0);
}

function checkIvfPq(options: CheckedBuildOptions, dimension: number): void {
  whole('the number of centroids', options.centroids, 1, 2 ** 24);
  whole('the code size', options.codeSize, 1, dimension);
  whole('bits per index', options.bitsPerIndex, 1, 8);
  if (dimension % options.codeSize !== 0) {
    throw new KnnIndexError(
      'KNN_INDEX_ARGUMENT',
      `a code size of ${options.codeSize} does not divide the keys' ${dimension} dimensions`,
      { hint: `Choose a divisor of ${dimension}.`, details: { codeSize: options.codeSize, dimension } },
    );
  }
  const needed = Math.max(options.centroids, 2 ** options.bitsPerIndex);
  if (options.trainedKeys >= needed) return;
  throw new KnnIndexError(
    'KNN_INDEX_TOO_FEW_KEYS',
    `${options.trainedKeys} training keys for ${needed} centroids`,
    {
      hint: 'Train on at least one key for each centroid, better 40; or choose fewer centroids (--ncentroids).',
      details: { found: options.trainedKeys, expected: needed },
    },
  );
}

function whole(name: string, value: number, minimum: number, maximum = Number.MAX_SAFE_INTEGER): void {
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return;
  throw new KnnIndexError('KNN_INDEX_ARGUMENT', `${name} is ${value}`, {
    hint: `Give a whole number from ${minimum} to ${maximum}.`,
    details: { found: value },
  });
}
