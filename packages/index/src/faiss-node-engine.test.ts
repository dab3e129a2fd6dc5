import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planIvfPqTraining } from '@knn-lm/faiss';
import { clusteredVectors, MemorySource, newFolder, withCode } from '../test/memory-source.js';
import { addKeys } from './add-keys.js';
import { buildIndex } from './build-index.js';
import { checkBuildOptions } from './build-options.js';
import { faissNodeEngine } from './faiss-node-engine.js';
import { importFaissNode, type FaissNodeIndex, type FaissNodeModule } from './faiss-node-module.js';
import { KnnIndex } from './knn-index.js';
import { openEngine } from './open-engine.js';
import { PlainTrainingRows } from './plain-numbers.js';
import { trainIndex } from './train-index.js';

const installed = await importFaissNode().then(
  () => true,
  () => false,
);

/**
 * Behaves as `faiss-node` does as far as the adapter can see: synchronous, plain arrays, ends the process (here: throws
 * `abort`) on misuse. Its serialized form has nprobe where Faiss has it.
 */
class StandIn implements FaissNodeIndex {
  vectors: number[] = [];
  trained: boolean;
  nprobe = 1n;

  constructor(
    readonly dimension: number,
    readonly description: string,
  ) {
    this.trained = description === 'Flat';
  }

  ntotal(): number {
    return this.vectors.length / this.dimension;
  }
  getDimension(): number {
    return this.dimension;
  }
  isTrained(): boolean {
    return this.trained;
  }
  train(vectors: number[]): void {
    if (vectors.length / this.dimension < 16) throw new Error('abort');
    this.trained = true;
  }
  add(vectors: number[]): void {
    if (!Array.isArray(vectors) || !this.trained || vectors.some(Number.isNaN)) throw new Error('abort');
    this.vectors.push(...vectors);
  }
  search(queries: number[], k: number): { distances: number[]; labels: number[] } {
    if (!this.trained || k > this.ntotal()) throw new Error('abort');
    const d = this.dimension;
    const distances: number[] = [];
    const labels: number[] = [];
    for (let q = 0; q < queries.length; q += d) {
      const near = Array.from({ length: this.ntotal() }, (_, row) => ({
        row,
        distance: queries
          .slice(q, q + d)
          .reduce((sum, x, i) => sum + (x - this.vectors[row * d + i]) ** 2, 0),
      })).sort((a, b) => a.distance - b.distance);
      labels.push(...near.slice(0, k).map(({ row }) => row));
      distances.push(...near.slice(0, k).map(({ distance }) => distance));
    }
    return { distances, labels };
  }
  toBuffer(): Buffer {
    const state = Buffer.from(JSON.stringify([this.dimension, this.description, this.trained, this.vectors]));
    const bytes = Buffer.concat([Buffer.alloc(53), state]);
    bytes.writeBigUInt64LE(this.nprobe, 45);
    return bytes;
  }
}

const standIn: FaissNodeModule = {
  Index: {
    fromFactory: (dimension, description) => new StandIn(dimension, description),
    fromBuffer: (bytes) => {
      const [dimension, description, trained, vectors] = JSON.parse(bytes.subarray(53).toString()) as [
        number,
        string,
        boolean,
        number[],
      ];
      return Object.assign(new StandIn(dimension, description), {
        trained,
        vectors,
        nprobe: bytes.readBigUInt64LE(45),
      });
    },
  },
};

const engine = faissNodeEngine(standIn);
const dimension = 4;
const keys = new MemorySource(clusteredVectors(300, dimension), dimension);
const options = checkBuildOptions({ type: 'IndexIVFPQ', centroids: 16, codeSize: 2, bitsPerIndex: 4 }, keys);
const spec = { type: 'IndexIVFPQ', dimension, centroids: 16, codeSize: 2, bitsPerIndex: 4 } as const;

describe('the faiss-node engine, over a stand-in', () => {
  it('trains, adds, searches and writes', async () => {
    const index = engine.create(spec);
    await trainIndex(index, keys, options);
    const growing = {
      index,
      get nextRow() {
        return index.size;
      },
      resumedRows: 0,
      savedRows: 0,
      isFull: false,
      save: () => Promise.resolve(),
      finish: () => Promise.resolve(),
    };
    await addKeys(growing, keys, { firstRow: 0, endRow: 300 }, { ...options, batchSize: 70 });
    expect(index).toMatchObject({ size: 300, dimension, isTrained: true });
    index.nprobe = 7;
    const { ids, distances } = await index.search(keys.keys.slice(0, 5 * dimension), 3, {});
    expect([0, 1, 2, 3, 4].map((row) => ids[row * 3])).toEqual([0, 1, 2, 3, 4]);
    expect(distances[0]).toBe(0);
    const path = join(newFolder(), 'faiss.index');
    await index.write(path, {});
    expect((await readFile(path)).readBigUInt64LE(45)).toBe(7n);
    expect(index.description).toBe(
      'IndexIVFPQ: 300 vectors of 4 dimensions, 16 centroids, 2 codes of 4 bits, nprobe 7',
    );
  });

  it('fills up with missing neighbours', async () => {
    const index = engine.create({ type: 'IndexFlatL2', dimension });
    await index.add(keys.keys.slice(0, 2 * dimension), {});
    index.nprobe = 3; // an exact index has none
    const { ids, distances } = await index.search(keys.keys.slice(0, dimension), 4, {});
    expect([...ids]).toEqual([0, 1, -1, -1]);
    expect(distances[3]).toBeGreaterThan(3e38);
  });

  it('checks what would end the process', async () => {
    const index = engine.create(spec);
    await expect(index.search(keys.keys.slice(0, 4), 1, {})).rejects.toEqual(
      withCode('KNN_INDEX_NOT_TRAINED'),
    );
    await expect(index.add(keys.keys, {})).rejects.toEqual(withCode('KNN_INDEX_NOT_TRAINED'));
    const plan = planIvfPqTraining(15, 16, 4);
    await expect(index.train(index.trainingRows(plan), plan, {})).rejects.toEqual(
      withCode('KNN_INDEX_TOO_FEW_KEYS'),
    );
    await trainIndex(index, keys, options);
    await expect(index.search(keys.keys.slice(0, 4), 1, {})).rejects.toEqual(withCode('KNN_INDEX_EMPTY'));
    const bad = keys.keys.slice();
    bad[9 * dimension] = NaN;
    await expect(index.add(bad, {})).rejects.toMatchObject({
      code: 'KNN_INDEX_NOT_FINITE',
      details: { row: 9 },
    });
    await expect(index.write(join(keys.folder, 'no', 'x'), {})).rejects.toEqual(withCode('FILE_ENOENT'));
    expect(() => new PlainTrainingRows(131_072, 1024)).toThrow(withCode('KNN_INDEX_ENGINE_LIMIT'));
  });
});

describe('openEngine', () => {
  const missing = Object.assign(new Error('not compiled'), { code: 'FAISS_ADDON_MISSING' });
  const noAddon = {
    requireAddon: () => {
      throw missing;
    },
    loadFaissNode: () => Promise.resolve(engine),
  };

  it('takes faiss-node where the addon is missing, and says so', async () => {
    const messages: string[] = [];
    const logger = { info: (message: string) => void messages.push(message), warn: () => undefined };
    expect(await openEngine('native', logger, noAddon)).toBe(engine);
    expect(messages).toEqual(['The Faiss addon is not compiled: using faiss-node, which is slower.']);
  });

  it('names the addon where both are missing', async () => {
    const loadFaissNode = () => Promise.reject(new Error('not installed'));
    await expect(openEngine('native', undefined, { ...noAddon, loadFaissNode })).rejects.toBe(missing);
  });
});

describe.skipIf(installed)('without faiss-node', () => {
  it('says that it is not installed', async () => {
    await expect(buildIndex(keys, { ...options, engine: 'faiss-node' })).rejects.toMatchObject({
      code: 'KNN_INDEX_ENGINE_MISSING',
      hint: expect.stringContaining('npm install faiss-node') as string,
    });
    await expect(KnnIndex.open('x', { engine: 'faiss-node' })).rejects.toEqual(
      withCode('KNN_INDEX_ENGINE_MISSING'),
    );
  });
});

describe.skipIf(!installed)('faiss-node itself (skipped where it is not installed)', () => {
  it('builds an index that our engine searches alike, and the other way round', async () => {
    const theirs = newFolder();
    const built = await buildIndex(keys, { ...options, folder: theirs, engine: 'faiss-node', nprobe: 4 });
    const ours = await KnnIndex.open(built.path);
    const its = await KnnIndex.open(built.path, { engine: 'faiss-node' });
    expect(ours.nprobe).toBe(4);
    const queries = keys.keys.slice(0, 10 * dimension);
    for (const nprobe of [4, 16]) {
      const a = await KnnIndex.open(built.path, { nprobe });
      const b = await KnnIndex.open(built.path, { nprobe, engine: 'faiss-node' });
      const [x, y] = [await a.search(queries, 5), await b.search(queries, 5)];
      y.distances.forEach((distance, i) => expect(distance).toBeCloseTo(x.distances[i], 3));
      a.close();
      b.close();
    }
    ours.close();
    its.close();
  });
});
