import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Datastore } from '@knn-lm/datastore';
import { fixture, fixturesFolder, readNpy } from '@knn-lm/testing';
import { clusteredVectors, MemorySource, newFolder, withCode } from '../test/memory-source.js';
import { buildIndex } from './build-index.js';
import { KnnIndex } from './knn-index.js';
import { NeighborSearch } from './neighbor-search.js';

const dimension = 8;
const keys = new MemorySource(clusteredVectors(2000, dimension), dimension);
const built = await buildIndex(keys, {
  type: 'IndexIVFPQ',
  centroids: 16,
  codeSize: 4,
  bitsPerIndex: 4,
  nprobe: 4,
});
const queries = keys.keys.slice(0, 10 * dimension);

describe('KnnIndex', () => {
  it('opens what was built, also mapped', async () => {
    const index = await KnnIndex.open(built.path);
    expect(index).toMatchObject({ size: 2000, dimension, nprobe: 4, engine: 'native', path: built.path });
    expect(index.description).toBe(built.description);
    const mapped = await KnnIndex.open(built.path, { map: true, threads: 1 });
    expect((await mapped.search(queries, 20)).ids).toEqual((await index.search(queries, 20)).ids);
    index.close();
    mapped.close();
    await expect(index.search(queries, 1)).rejects.toMatchObject({ name: 'FaissError' });
  });

  it('looks through the lists it is told to', async () => {
    const index = await KnnIndex.open(built.path, { nprobe: 1 });
    const all = await KnnIndex.open(built.path, { nprobe: 16 });
    const missing = async (from: KnnIndex): Promise<number> =>
      (await from.search(queries, 2000)).ids.filter((id) => id < 0).length;
    expect(await missing(index)).toBeGreaterThan(0);
    expect(await missing(all)).toBe(0);
    index.close();
    all.close();
  });

  it('leaves the event loop free', async () => {
    const index = await KnnIndex.open(built.path, { nprobe: 16, threads: 1 });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const start = performance.now();
    await index.search(clusteredVectors(10_000, dimension), 256);
    const elapsed = performance.now() - start;
    clearInterval(timer);
    index.close();
    expect(ticks).toBeGreaterThan(elapsed / 20);
  });

  it('says what is wrong with a file', async () => {
    const folder = newFolder();
    const path = join(folder, 'faiss.index');
    await expect(KnnIndex.open(path)).rejects.toEqual(withCode('FILE_ENOENT'));
    await writeFile(path, '');
    await expect(KnnIndex.open(path)).rejects.toThrow(/faiss\.index: the file is empty/);
    await expect(KnnIndex.open(join(keys.folder, 'faiss.trained_index'))).rejects.toMatchObject({
      code: 'KNN_INDEX_EMPTY',
      hint: expect.stringContaining('faiss.index') as string,
    });
    await expect(KnnIndex.open(built.path, { nprobe: 0 })).rejects.toEqual(withCode('KNN_INDEX_ARGUMENT'));
    const index = await KnnIndex.open(built.path);
    await expect(index.search(queries.subarray(1), 1)).rejects.toEqual(withCode('KNN_INDEX_DIMENSION'));
    await expect(index.search(queries, 0)).rejects.toEqual(withCode('KNN_INDEX_ARGUMENT'));
    const stop = new AbortController();
    stop.abort();
    await expect(index.search(queries, 1, { signal: stop.signal })).rejects.toEqual(withCode('CANCELLED'));
    index.close();
  });
});

describe('NeighborSearch', () => {
  it('measures on the keys, in the index’s order', async () => {
    const index = await KnnIndex.open(built.path, { nprobe: 1 });
    const approximate = await new NeighborSearch(index, keys, { neighbors: 1500 }).search(queries);
    const exact = await new NeighborSearch(index, keys, { neighbors: 1500, recompute: true }).search(queries);
    expect(exact.ids).toEqual(approximate.ids);
    expect(exact.distances).toEqual(await keys.squaredDistances(queries, approximate.ids, 1500));
    const missing = approximate.ids.indexOf(-1);
    expect(missing).toBeGreaterThan(0);
    expect(approximate.distances[missing]).toBeGreaterThan(3e38);
    expect(exact.distances[missing]).toBeLessThan(1e4);
    index.close();
  });

  it('refuses a datastore that the index was not built from', async () => {
    const index = await KnnIndex.open(built.path);
    const longer = new MemorySource(new Float32Array(2001 * dimension), dimension);
    expect(() => new NeighborSearch(index, longer, { neighbors: 4 })).toThrow(
      /has 2000 entries, but the datastore has 2001/,
    );
    const wider = new MemorySource(new Float32Array(2000 * 9), 9);
    expect(() => new NeighborSearch(index, wider, { neighbors: 4 })).toThrow(withCode('KNN_INDEX_DIMENSION'));
    index.close();
  });
});

describe.skipIf(fixturesFolder === undefined)('the Python system’s searches', () => {
  it.each([
    ['ivfpq_k64_l0.25', 32, false],
    ['ivfpq_k64_l0.25_recompute_nomove', 32, true],
    ['ivfpq_k1024_l0.25_recompute', 32, true],
    ['ivfpq_k1024_nprobe1', 1, false],
    ['ivfpq_k1024_nprobe1_recompute', 1, true],
  ])('are found again: %s', async (run, nprobe, recompute) => {
    const datastore = await Datastore.open(fixture('pipeline', 'datastore', 'main'), {
      rows: 20_238,
      dimension: 256,
      dtype: 'fp16',
    });
    const index = await KnnIndex.open(fixture('pipeline', 'index', 'ivfpq', 'faiss.index'), { nprobe });
    const read = (name: string) => readNpy(fixture('pipeline', 'knn', run, `search_${name}.npy`));
    const ids = read('ids');
    const used = read('distance_used').data as Float32Array;
    const [rows, k] = ids.shape;
    const search = new NeighborSearch(index, datastore, { neighbors: k, recompute });
    const found = await search.search((read('queries').data as Float32Array).subarray(0, rows * 256));
    const differing = [...found.ids].filter((id, i) => id !== Number(ids.data[i])).length;
    expect(differing / found.ids.length).toBeLessThan(0.001);
    const far = [...found.distances].filter(
      (distance, i) =>
        found.ids[i] === Number(ids.data[i]) && Math.abs(distance - used[i]) > 1e-4 * Math.abs(used[i]),
    );
    expect(far).toEqual([]);
    index.close();
    datastore.close();
  });
});
