import { readFile, stat } from 'node:fs/promises';
import { describeFileError, throwIfAborted, writeFileAtomic, type TaskOptions } from '@knn-lm/common';
import { readIndexFileHeader, type TrainingPlan, type VectorArray } from '@knn-lm/faiss';
import type { EngineCallOptions, EngineIndex, EngineTrainingRows, IndexEngine, IndexSpec } from './engine.js';
import { KnnIndexError } from './errors.js';
import { importFaissNode, type FaissNodeIndex, type FaissNodeModule } from './faiss-node-module.js';
import { PlainTrainingRows, plainNumbers } from './plain-numbers.js';

/** Where an IwPQ file keeps nprobe: after the kind, the dimension, the size, two reserved fields, flags and nlist. */
const NPROBE_BYTE_OFFSET = 45;
/** `fs.readFile` and the buffers of `faiss-node` end here. */
const MAX_FILE_BYTES = 2 ** 31 - 1;
/** Numbers handed over at a time; the event loop runs between two of them. */
const NUMBERS_AT_A_TIME = 1 << 20;

/**
 * The engine over the npm package `faiss-node`, for machines where the addon cannot be compiled.
 *
 * @throws `KnnIndexError` `KNN_INDEX_ENGINE_MISSING`
 */
export async function loadFaissNode(): Promise<IndexEngine> {
  return faissNodeEngine(await importFaissNode());
}

/**
 * The engine over a given `faiss-node` module. Everything is checked here first: the module ends the process when it
 * is asked to train on too few vectors, to use an untrained index, or to write where it cannot.
 */
export function faissNodeEngine(module: FaissNodeModule): IndexEngine {
  return {
    name: 'faiss-node',
    create(spec: IndexSpec): EngineIndex {
      if (spec.type === 'factory') {
        throw new KnnIndexError(
          'KNN_INDEX_ENGINE_LIMIT',
          `faiss-node is not given an index of kind ${spec.description}`,
          { hint: 'Use the native engine for other kinds than IndexFlatL2 and IndexIVFPQ.' },
        );
      }
      const description =
        spec.type === 'IndexFlatL2'
          ? 'Flat'
          : `IVF${spec.centroids},PQ${spec.codeSize}x${spec.bitsPerIndex}np`;
      const index = module.Index.fromFactory(spec.dimension, description);
      const inverted = spec.type === 'IndexFlatL2' ? undefined : spec;
      return new FaissNodeEngineIndex(module, index, inverted && { ...inverted, nprobe: 1 });
    },
    async read(path: string): Promise<EngineIndex> {
      const header = readIndexFileHeader(path);
      if (header.type === 'other') {
        throw new KnnIndexError(
          'KNN_INDEX_ENGINE_LIMIT',
          `${path}: faiss-node cannot be given a ${header.fourcc} index`,
          {
            hint: 'Use the native engine for other kinds than IndexFlatL2 and IndexIVFPQ.',
          },
        );
      }
      if ('listsFile' in header && header.listsFile !== undefined)
        throw tooLarge(`${path} has its lists in another file, which faiss-node maps to be written to`);
      const { size } = await stat(path);
      if (size > MAX_FILE_BYTES)
        throw tooLarge(`${path} has ${size} bytes; faiss-node reads up to ${MAX_FILE_BYTES}`);
      const index = module.Index.fromBuffer(await readFile(path));
      return new FaissNodeEngineIndex(
        module,
        index,
        header.type === 'IndexIVFPQ' ? { ...header } : undefined,
      );
    },
  };
}

/** What an IndexIVFPQ is made of. */
interface Inverted {
  readonly centroids: number;
  readonly codeSize: number;
  readonly bitsPerIndex: number;
  nprobe: number;
}

class FaissNodeEngineIndex implements EngineIndex {
  readonly #module: FaissNodeModule;
  readonly #inverted: Inverted | undefined;
  #index: FaissNodeIndex;
  /** The nprobe that the index searches with; another one takes effect through its serialized form. */
  #appliedNprobe: number | undefined;

  constructor(module: FaissNodeModule, index: FaissNodeIndex, inverted: Inverted | undefined) {
    this.#module = module;
    this.#index = index;
    this.#inverted = inverted;
    this.#appliedNprobe = inverted?.nprobe;
  }

  get dimension(): number {
    return this.#index.getDimension();
  }
  get size(): number {
    return this.#index.ntotal();
  }
  get isTrained(): boolean {
    return this.#index.isTrained();
  }
  get description(): string {
    const about = `${this.size} vectors of ${this.dimension} dimensions`;
    if (this.#inverted === undefined) return `IndexFlat: ${about}`;
    const { centroids, codeSize, bitsPerIndex, nprobe } = this.#inverted;
    return `IndexIVFPQ: ${about}, ${centroids} centroids, ${codeSize} codes of ${bitsPerIndex} bits, nprobe ${nprobe}`;
  }
  get centroids(): number | undefined {
    return this.#inverted?.centroids;
  }
  get nprobe(): number | undefined {
    return this.#inverted?.nprobe;
  }
  set nprobe(value: number | undefined) {
    if (value !== undefined && this.#inverted !== undefined) this.#inverted.nprobe = value;
  }

  readonly isJoinable = false;

  trainingRows(plan: TrainingPlan): PlainTrainingRows {
    return new PlainTrainingRows(plan.rows, this.dimension);
  }

  async train(
    rows: EngineTrainingRows,
    plan: TrainingPlan,
    { signal, onProgress }: EngineCallOptions & TaskOptions,
  ): Promise<void> {
    if (!(rows instanceof PlainTrainingRows)) {
      throw new KnnIndexError('KNN_INDEX_ARGUMENT', 'the training rows belong to another engine');
    }
    const { centroids = 1, bitsPerIndex = 0 } = this.#inverted ?? {};
    const needed = Math.max(centroids, 2 ** bitsPerIndex);
    if (plan.rows < needed) {
      throw new KnnIndexError(
        'KNN_INDEX_TOO_FEW_KEYS',
        `${plan.rows} training keys for ${needed} centroids`,
        {
          hint: 'Train on more keys, or choose fewer centroids.',
          details: { found: plan.rows, expected: needed },
        },
      );
    }
    throwIfAborted(signal, 'stopped before training');
    onProgress?.({ stage: 'train', done: 0, total: 1, unit: 'trainings' });
    await new Promise((resolve) => setImmediate(resolve));
    this.#index.train(plainNumbers(rows.numbers));
    onProgress?.({ stage: 'train', done: 1, total: 1, unit: 'trainings' });
  }

  async add(
    vectors: VectorArray,
    { signal, firstId = this.size }: EngineCallOptions & { readonly firstId?: number },
  ): Promise<void> {
    this.#checkTrained();
    if (firstId !== this.size) throw tooLarge('faiss-node cannot add keys with rows of their own');
    const step = this.#rowsAtATime(this.dimension) * this.dimension;
    for (let start = 0; start < vectors.length; start += step) {
      throwIfAborted(signal, 'stopped while adding keys');
      this.#index.add(plainNumbers(vectors.subarray(start, start + step), this.dimension, start));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async search(
    queries: Float32Array,
    k: number,
    { signal }: EngineCallOptions,
  ): Promise<{ distances: Float32Array; ids: Float64Array }> {
    this.#checkTrained();
    if (this.size === 0) {
      throw new KnnIndexError('KNN_INDEX_EMPTY', 'the index is empty', { hint: 'Build it first.' });
    }
    this.#applyNprobe();
    const { dimension } = this;
    const rows = queries.length / dimension;
    // More neighbours than vectors are refused by faiss-node, and are missing ones everywhere else.
    const found = Math.min(k, this.size);
    const distances = new Float32Array(rows * k).fill(3.4028234663852886e38);
    const ids = new Float64Array(rows * k).fill(-1);
    const step = this.#rowsAtATime(Math.max(dimension, found));
    for (let row = 0; row < rows; row += step) {
      throwIfAborted(signal, 'stopped while searching');
      const part = queries.subarray(row * dimension, (row + step) * dimension);
      const result = this.#index.search(plainNumbers(part), found);
      for (let i = 0; i < result.labels.length; i++) {
        const at = (row + Math.floor(i / found)) * k + (i % found);
        distances[at] = result.distances[i];
        ids[at] = result.labels[i];
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { distances, ids };
  }

  reset(): Promise<void> {
    return Promise.reject(tooLarge('faiss-node cannot empty an index'));
  }

  listSizes(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
  get memoryBytes(): undefined {
    return undefined;
  }

  async write(path: string, { signal }: EngineCallOptions): Promise<void> {
    throwIfAborted(signal, 'stopped before writing the index');
    try {
      // Through a buffer: faiss-node ends the process when it cannot write to a path.
      await writeFileAtomic(path, this.#serialize());
    } catch (cause) {
      throw describeFileError(cause, path, 'write the index');
    }
  }

  close(): void {
    this.#index = this.#module.Index.fromFactory(1, 'Flat');
  }

  #checkTrained(): void {
    if (this.isTrained) return;
    throw new KnnIndexError('KNN_INDEX_NOT_TRAINED', 'the index is not trained', { hint: 'Train it first.' });
  }

  #rowsAtATime(numbersPerRow: number): number {
    return Math.max(1, Math.floor(NUMBERS_AT_A_TIME / numbersPerRow));
  }

  #applyNprobe(): void {
    if (this.#inverted === undefined || this.#inverted.nprobe === this.#appliedNprobe) return;
    this.#index = this.#module.Index.fromBuffer(this.#serialize());
    this.#appliedNprobe = this.#inverted.nprobe;
  }

  #serialize(): Buffer {
    const bytes = this.#index.toBuffer();
    if (this.#inverted !== undefined)
      bytes.writeBigUInt64LE(BigInt(this.#inverted.nprobe), NPROBE_BYTE_OFFSET);
    return bytes;
  }
}

function tooLarge(message: string): KnnIndexError {
  return new KnnIndexError('KNN_INDEX_ENGINE_LIMIT', message, {
    hint: 'Use the native engine: `npm run setup` compiles it.',
  });
}
