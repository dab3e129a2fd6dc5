import { mkdtemp, readFile, readdir, writeFile, mkdir, chmod } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fixture, fixturesFolder, readNpy } from '@knn-lm/testing';
import { golden, goldenPath, halves, queries, randomNumbers, singles, withCode } from '../test/golden.js';
import { FaissIndex } from './faiss-index.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-faiss-'));
const open: FaissIndex[] = [];
function keep(index: FaissIndex): FaissIndex {
  open.push(index);
  return index;
}
afterAll(() => open.forEach((index) => index.close()));

function expectClose(found: Float32Array, expected: ArrayLike<number>, tolerance = 1e-4): void {
  expect(found).toHaveLength(expected.length);
  for (let i = 0; i < found.length; i++) {
    expect(Math.abs(found[i] - expected[i])).toBeLessThanOrEqual(tolerance * (1 + Math.abs(expected[i])));
  }
}

describe('searching', () => {
  it.each([
    ['single', singles],
    ['half', halves],
  ])('finds in an exact index of %s precision what Python finds', async (_, vectors) => {
    const index = keep(FaissIndex.flatL2(16));
    await index.add(vectors);
    expect(index.size).toBe(900);
    const [{ k, ids, distances }] = golden.flat;
    const found = await index.search(queries, k);
    expect([...found.ids]).toEqual(ids);
    expectClose(found.distances, distances);
  });

  it.each([false, true])('finds in an index of Python’s what Python finds (mapped: %s)', async (map) => {
    const index = keep(await FaissIndex.read(goldenPath('ivfpq.index'), { map }));
    expect(index.description).toBe(
      'IndexIVFPQ: 900 vectors of 16 dimensions, 12 centroids, 4 codes of 6 bits, nprobe 3',
    );
    for (const { k, rows, ids, distances } of golden.ivfpq) {
      const found = await index.search(queries.subarray(0, rows * 16), k);
      expect([...found.ids]).toEqual(ids);
      expectClose(found.distances, distances);
    }
  });

  it('fills up with missing neighbours', async () => {
    const index = keep(FaissIndex.flatL2(2));
    await index.add(Float32Array.of(0, 0, 3, 4));
    const { ids, distances } = await index.search(Float32Array.of(0, 0, 3, 4), 3);
    expect([...ids]).toEqual([0, 1, -1, 1, 0, -1]);
    expect([...distances].map(Math.fround)).toEqual([
      0,
      25,
      Math.fround(3.4028234663852886e38),
      0,
      25,
      Math.fround(3.4028234663852886e38),
    ]);
  });

  it('uses the nprobe of the moment of the call', async () => {
    const index = keep(await FaissIndex.read(goldenPath('ivfpq.index')));
    index.nprobe = 1;
    const narrow = index.search(queries, 300);
    index.nprobe = 12;
    const wide = index.search(queries, 300);
    const missing = (ids: Float64Array): number => ids.filter((id) => id < 0).length;
    expect(missing((await narrow).ids)).toBeGreaterThan(0);
    expect(missing((await wide).ids)).toBe(0);
  });

  it('takes arrays in shared memory, and survives their reuse', async () => {
    const index = keep(FaissIndex.flatL2(16));
    const shared = new Float32Array(new SharedArrayBuffer(singles.byteLength));
    shared.set(singles);
    const adding = index.add(shared);
    shared.fill(NaN);
    await adding;
    const query = queries.slice();
    const searching = index.search(query, 5);
    structuredClone(query.buffer, { transfer: [query.buffer] });
    expect([...(await searching).ids]).toEqual(golden.flat[0].ids);
  });

  it('leaves the event loop free', async () => {
    const index = keep(FaissIndex.flatL2(64));
    await index.add(randomNumbers(64 * 20_000));
    let ticks = 0;
    const timer = setInterval(() => ticks++, 2);
    const start = performance.now();
    await index.search(randomNumbers(64 * 2000, 2), 100, { threads: 1 });
    const elapsed = performance.now() - start;
    clearInterval(timer);
    expect(elapsed).toBeGreaterThan(20);
    expect(ticks).toBeGreaterThan(elapsed / 2 / 10);
  });

  it('runs calls on one index one after another', async () => {
    const index = keep(FaissIndex.flatL2(16));
    const first = index.add(singles);
    const early = index.search(queries, 1);
    const second = index.add(halves);
    const late = index.search(queries, 2);
    const [a, , b] = await Promise.all([early, first, late, second]);
    expect([...a.ids]).toEqual(Array.from({ length: 20 }, (_, i) => golden.flat[0].ids[i * 5]));
    // Every vector is there twice now.
    expect([...b.ids].map((id) => id % 900)).toEqual([...a.ids].flatMap((id) => [id, id]));
  });

  it('gives the same neighbours with one thread and with all', async () => {
    const index = keep(await FaissIndex.read(goldenPath('ivfpq.index')));
    const one = await index.search(queries, 50, { threads: 1 });
    const all = await index.search(queries, 50);
    expect(all.ids).toEqual(one.ids);
    expectClose(all.distances, one.distances, 1e-5);
  });
});

describe('wrong input', () => {
  it('names the row that has NaN or infinity, and adds nothing', async () => {
    const index = keep(await FaissIndex.read(goldenPath('ivfpq.trained_index')));
    const single = singles.slice();
    single[500 * 16 + 3] = NaN;
    await expect(index.add(single)).rejects.toMatchObject({
      code: 'FAISS_NOT_FINITE',
      details: { row: 500 },
    });
    const half = halves.slice();
    half[899 * 16] = 0x7c00;
    await expect(index.add(half)).rejects.toMatchObject({ code: 'FAISS_NOT_FINITE', details: { row: 899 } });
    single[500 * 16 + 3] = 1e25;
    await expect(index.add(single)).rejects.toMatchObject({ code: 'FAISS_TOO_LARGE', details: { row: 500 } });
    expect(index.size).toBe(0);
  });

  it.each([1, 2, 12])('finds nothing for a query with NaN, and the rest (nprobe %i)', async (nprobe) => {
    for (const map of [false, true]) {
      const index = keep(await FaissIndex.read(goldenPath('ivfpq.index'), { map }));
      index.nprobe = nprobe;
      for (const rows of [3, 40]) {
        const query = new Float32Array(rows * 16).fill(NaN);
        query.set(queries.subarray(0, 16), 16);
        query[32] = 1e30;
        const { ids, distances } = await index.search(query, 1);
        expect(ids[1]).toBeGreaterThanOrEqual(0);
        expect([...ids].filter((id) => id >= 0)).toHaveLength(1);
        expect(distances[0]).toBeGreaterThan(3e38);
      }
    }
  });

  it('refuses to search an index that is untrained or empty', async () => {
    const untrained = keep(FaissIndex.ivfPq({ dimension: 16, centroids: 2, codeSize: 4 }));
    await expect(untrained.search(queries, 1)).rejects.toEqual(withCode('FAISS_NOT_TRAINED'));
    await expect(untrained.add(singles)).rejects.toEqual(withCode('FAISS_NOT_TRAINED'));
    const empty = keep(await FaissIndex.read(goldenPath('ivfpq.trained_index')));
    await expect(empty.search(queries, 1)).rejects.toEqual(withCode('FAISS_EMPTY'));
  });

  it('checks lengths, numbers and ids', async () => {
    const index = keep(FaissIndex.flatL2(16));
    await index.add(singles);
    await expect(index.add(singles.subarray(1))).rejects.toEqual(withCode('FAISS_DIMENSION'));
    await expect(index.search(queries.subarray(3), 1)).rejects.toEqual(withCode('FAISS_DIMENSION'));
    for (const k of [0, -1, 1.5, NaN, 2 ** 40]) {
      await expect(index.search(queries, k)).rejects.toEqual(withCode('FAISS_ARGUMENT'));
    }
    await expect(index.search(queries, 2 ** 30)).rejects.toEqual(withCode('FAISS_TOO_MANY_RESULTS'));
    await expect(index.search(queries, 1, { threads: -1 })).rejects.toEqual(withCode('FAISS_ARGUMENT'));
    const trained = keep(await FaissIndex.read(goldenPath('ivfpq.trained_index')));
    const some = singles.subarray(0, 32);
    await expect(trained.addWithIds(some, Float64Array.of(1))).rejects.toEqual(withCode('FAISS_ARGUMENT'));
    for (const id of [-1, 0.5, NaN, 2 ** 53]) {
      await expect(trained.addWithIds(some, Float64Array.of(1, id))).rejects.toMatchObject({
        details: { row: 1 },
      });
    }
    await expect(index.addWithIds(some, Float64Array.of(1, 2))).rejects.toEqual(withCode('FAISS_FAILED'));
    expect(() => (trained.nprobe = 0)).toThrow(withCode('FAISS_ARGUMENT'));
    expect(() => (index.nprobe = 4)).toThrow(withCode('FAISS_ARGUMENT'));
  });

  it('checks what an index is made with', () => {
    expect(() => FaissIndex.flatL2(0)).toThrow(withCode('FAISS_ARGUMENT'));
    const good = { dimension: 16, centroids: 4, codeSize: 4 };
    for (const wrong of [{ codeSize: 5 }, { centroids: 0 }, { bitsPerIndex: 9 }, { dimension: 2 ** 40 }]) {
      expect(() => FaissIndex.ivfPq({ ...good, ...wrong })).toThrow(withCode('FAISS_ARGUMENT'));
    }
    expect(() => FaissIndex.factory(16, 'no such index')).toThrow(withCode('FAISS_FAILED'));
  });

  it('fails after it was closed', async () => {
    const index = FaissIndex.flatL2(16);
    await index.add(singles);
    const running = index.search(queries, 1);
    const waiting = index.search(queries, 1);
    await Promise.resolve();
    index.close();
    index.close();
    await expect(waiting).rejects.toEqual(withCode('FAISS_CLOSED'));
    await expect(index.search(queries, 1)).rejects.toEqual(withCode('FAISS_CLOSED'));
    await Promise.allSettled([running]);
  });
});

describe('lists and memory', () => {
  it('counts the vectors of each list', async () => {
    const index = keep(await FaissIndex.read(goldenPath('ivfpq.index')));
    const sizes = await index.listSizes();
    expect(sizes).toHaveLength(12);
    expect(sizes?.reduce((sum, size) => sum + size, 0)).toBe(900);
    // Codes of 3 bytes and ids of 8, and the centroids at least.
    expect(index.memoryBytes).toBeGreaterThan(900 * 11 + 12 * 16 * 4);
    expect(index.memoryBytes).toBeLessThan(100_000);
    const flat = keep(FaissIndex.flatL2(16));
    await flat.add(singles);
    expect(await flat.listSizes()).toBeUndefined();
    expect(flat.memoryBytes).toBeGreaterThanOrEqual(900 * 16 * 4);
  });
});

describe('ids and reset', () => {
  it('keeps ids up to 2^53 - 1', async () => {
    const index = keep(await FaissIndex.read(goldenPath('ivfpq.trained_index')));
    const last = Number.MAX_SAFE_INTEGER;
    await index.addWithIds(singles.subarray(0, 32), Float64Array.of(2 ** 40, last));
    index.nprobe = 12;
    const { ids } = await index.search(singles.subarray(0, 32), 2);
    expect([...ids].sort()).toEqual([2 ** 40, 2 ** 40, last, last]);
    await index.reset();
    expect(index.size).toBe(0);
    expect(index.isTrained).toBe(true);
  });

  it('makes other kinds by their factory string', async () => {
    const index = keep(FaissIndex.factory(16, 'IVF4,Flat', 'innerProduct'));
    await index.train(singles);
    await index.add(singles);
    index.nprobe = 4;
    const { ids } = await index.search(queries.subarray(0, 16), 1);
    const product = (row: number): number =>
      singles.subarray(row * 16, row * 16 + 16).reduce((sum, value, i) => sum + value * queries[i], 0);
    const best = Array.from({ length: 900 }, (_, row) => row).reduce((a, b) =>
      product(b) > product(a) ? b : a,
    );
    expect(ids[0]).toBe(best);
  });
});

describe('files', () => {
  it('writes the bytes that Python writes', async () => {
    const index = keep(await FaissIndex.read(goldenPath('ivfpq.trained_index')));
    await index.add(singles);
    const path = join(folder, 'mine.index');
    await index.write(path);
    expect(await readFile(path)).toEqual(await readFile(goldenPath('ivfpq.index')));
  });

  it('replaces a file whole, and leaves nothing behind when it cannot', async () => {
    const index = keep(FaissIndex.flatL2(16));
    await index.add(singles);
    await expect(index.write(join(folder, 'none', 'x.index'))).rejects.toMatchObject({ code: 'FILE_ENOENT' });
    const taken = join(folder, 'taken');
    await mkdir(join(taken, 'x.index', 'full'), { recursive: true });
    await expect(index.write(join(taken, 'x.index'))).rejects.toMatchObject({
      code: expect.stringMatching(/^FILE_/) as string,
    });
    expect(await readdir(taken)).toEqual(['x.index']);
    const stopped = new AbortController();
    stopped.abort();
    await expect(index.write(join(folder, 'stopped'), { signal: stopped.signal })).rejects.toEqual(
      withCode('CANCELLED'),
    );
    await expect(index.write('/dev/full/x')).rejects.toMatchObject({ code: 'FILE_ENOTDIR' });
  });

  it.skipIf(process.getuid?.() === 0)('says that a folder cannot be written to', async () => {
    const locked = join(folder, 'locked');
    await mkdir(locked);
    await chmod(locked, 0o500);
    const index = keep(FaissIndex.flatL2(16));
    await expect(index.write(join(locked, 'x.index'))).rejects.toEqual(withCode('FILE_EACCES'));
  });

  it('does not add to a mapped index', async () => {
    const index = keep(await FaissIndex.read(goldenPath('ivfpq.index'), { map: true }));
    await expect(index.add(singles)).rejects.toMatchObject({ name: 'FaissError' });
    expect((await index.search(queries, 5)).ids).toHaveLength(100);
  });

  it.each(['PCA8,Flat', 'IVF8_HNSW4,PQ4x4np', 'IVF8,PQ4x4fs', 'OPQ4,IVF8,PQ4x4np', 'IVF8,SQfp16'])(
    'reads an untrusted kind only when told to: %s',
    async (description) => {
      const index = keep(FaissIndex.factory(16, description));
      await index.train(singles);
      await index.add(singles);
      const path = join(folder, 'pca.index');
      await index.write(path);
      await expect(FaissIndex.read(path)).rejects.toEqual(withCode('FAISS_INDEX_KIND'));
      const again = keep(await FaissIndex.read(path, { trusted: true }));
      expect(await again.search(queries, 3)).toEqual(await index.search(queries, 3));
      const cut = join(folder, 'cut.index');
      await writeFile(cut, (await readFile(path)).subarray(0, 500));
      await expect(FaissIndex.read(cut, { trusted: true })).rejects.toEqual(withCode('FAISS_INDEX_FORMAT'));
    },
  );
});

describe.skipIf(fixturesFolder === undefined)('the Python system’s searches', () => {
  it.each([
    ['ivfpq_k64_l0.25', 32],
    ['ivfpq_k1024_l0.25', 32],
    ['ivfpq_k8_l0.25', 32],
    ['ivfpq_k1024_nprobe1', 1],
  ])('are found again: %s', async (run, nprobe) => {
    const index = keep(await FaissIndex.read(fixture('pipeline', 'index', 'ivfpq', 'faiss.index')));
    index.nprobe = nprobe;
    const read = (name: string) => readNpy(fixture('pipeline', 'knn', run, `search_${name}.npy`));
    const ids = read('ids');
    const [rows, k] = ids.shape;
    const query = (read('queries').data as Float32Array).subarray(0, rows * 256);
    const found = await index.search(query, k);
    expectClose(found.distances, read('distance_index').data as Float32Array, 1e-5);
    const same = [...found.ids].filter((id, i) => id === Number(ids.data[i])).length;
    // Neighbours at the same distance may change places on another processor.
    expect(same / found.ids.length).toBeGreaterThan(0.999);
  });
});
