import { describe, expect, it } from 'vitest';
import { clusteredVectors, MemorySource, withCode } from '../test/memory-source.js';
import { buildIndex } from './build-index.js';
import { exactNeighbors } from './exact-neighbors.js';
import { KnnIndex } from './knn-index.js';
import { describeLists } from './list-statistics.js';
import { measureIndex } from './measure-index.js';
import { sampleKeys } from './sample-keys.js';

const dimension = 8;

describe('describeLists', () => {
  it('gives Faiss’s imbalance factor, and percentiles by nearest rank', () => {
    const { lists, empty, mean, imbalance, percentiles } = describeLists(Float64Array.of(0, 4, 1, 3, 0, 2));
    expect({ lists, empty, mean }).toEqual({ lists: 6, empty: 2, mean: 10 / 6 });
    expect(imbalance).toBeCloseTo((6 * (16 + 1 + 9 + 4)) / 100, 12);
    expect(new Map(percentiles)).toEqual(
      new Map([
        [0, 0],
        [1, 0],
        [10, 0],
        [25, 0],
        [50, 1],
        [75, 3],
        [90, 4],
        [99, 4],
        [100, 4],
      ]),
    );
    expect(describeLists(new Float64Array(7).fill(5)).imbalance).toBe(1);
    expect(describeLists(new Float64Array(3)).imbalance).toBe(1);
  });
});

/** All distances, sorted: what the exact search has to find. */
function byBruteForce(source: MemorySource, query: Float32Array): { id: number; distance: number }[] {
  return Array.from({ length: source.rows }, (_, id) => {
    let distance = 0;
    for (let i = 0; i < dimension; i++) distance += (source.keys[id * dimension + i] - query[i]) ** 2;
    return { id, distance };
  }).sort((a, b) => a.distance - b.distance);
}

describe('exactNeighbors', () => {
  it('finds the nearest over several chunks', async () => {
    const source = new MemorySource(clusteredVectors(40_000, dimension), dimension);
    const queries = clusteredVectors(7, dimension, 3);
    const { ids, distances } = await exactNeighbors(source, queries, 30);
    for (let row = 0; row < 7; row++) {
      const expected = byBruteForce(source, queries.subarray(row * dimension, (row + 1) * dimension));
      expect([...ids.subarray(row * 30, row * 30 + 30)]).toEqual(expected.slice(0, 30).map(({ id }) => id));
      expect(distances[row * 30 + 29]).toBeCloseTo(expected[29].distance, 3);
    }
  });

  it('has missing neighbours where there are fewer keys', async () => {
    const source = new MemorySource(clusteredVectors(3, dimension), dimension);
    const { ids } = await exactNeighbors(source, source.keys, 5);
    expect([...ids.subarray(0, 5)].sort((a, b) => a - b)).toEqual([-1, -1, 0, 1, 2]);
  });
});

describe('measureIndex', () => {
  const source = new MemorySource(clusteredVectors(4000, dimension), dimension);

  it('finds everything in an exact index', async () => {
    const { path } = await buildIndex(source, { type: 'IndexFlatL2' });
    const index = await KnnIndex.open(path);
    const found = await measureIndex(index, source, { queries: 30, ks: [100, 1, 10, 10] });
    index.close();
    expect(found).toMatchObject({ size: 4000, queries: 30, lists: undefined });
    expect(found.recall).toHaveLength(1);
    expect(found.recall[0].nprobe).toBeUndefined();
    expect(found.recall[0].recalls).toEqual([
      [1, 1],
      [10, 1],
      [100, 1],
    ]);
  });

  it('measures what a search by hand finds, more with more lists', async () => {
    const { path, bytes } = await buildIndex(source, {
      type: 'IVF32,Flat',
      nprobe: 2,
      overwrite: true,
    });
    const index = await KnnIndex.open(path);
    const found = await measureIndex(index, source, { queries: 50, ks: [20], nprobes: [32, 1, 4, 900] });
    expect(found.fileBytes).toBe(bytes);
    expect(found.memoryBytes).toBeGreaterThan(4000 * dimension * 4);
    expect(found.lists).toMatchObject({ lists: 32 });
    expect(found.lists?.imbalance).toBeGreaterThanOrEqual(1);
    expect(found.recall.map(({ nprobe }) => nprobe)).toEqual([1, 4, 32]);
    const [one, four, all] = found.recall.map(({ recalls }) => recalls[0][1]);
    expect(one).toBeLessThan(1);
    expect(four).toBeGreaterThan(one);
    expect(all).toBe(1);
    expect(index.nprobe).toBe(2);

    // The same again, query by query.
    const own = (await sampleKeys(4000, 50, 1)).rowsAt(Float64Array.from({ length: 50 }, (_, i) => i));
    let hits = 0;
    for (const row of own) {
      const query = source.keys.slice(row * dimension, (row + 1) * dimension);
      const expected = byBruteForce(source, query)
        .filter(({ id }) => id !== row)
        .slice(0, 20);
      const { ids } = await index.search(query, 21, { nprobe: 1 });
      const near = [...ids].filter((id) => id !== row).slice(0, 20);
      hits += expected.filter(({ id }) => near.includes(id)).length;
    }
    expect(one).toBeCloseTo(hits / 1000, 2);
    index.close();
  });

  it('checks its arguments, and stops', async () => {
    const { path } = await buildIndex(source, { type: 'IndexFlatL2', overwrite: true });
    const index = await KnnIndex.open(path);
    for (const options of [{ ks: [0] }, { ks: [] }, { nprobes: [1.5] }, { queries: -1 }, { ks: [NaN] }]) {
      await expect(measureIndex(index, source, options)).rejects.toEqual(withCode('KNN_INDEX_ARGUMENT'));
    }
    const other = new MemorySource(clusteredVectors(10, dimension), dimension);
    await expect(measureIndex(index, other)).rejects.toEqual(withCode('KNN_INDEX_SIZE'));
    expect((await measureIndex(index, source, { queries: 0 })).recall).toEqual([]);
    const signal = AbortSignal.abort();
    await expect(measureIndex(index, source, { signal })).rejects.toEqual(withCode('CANCELLED'));
    index.close();
  });
});
