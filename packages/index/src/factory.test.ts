import { readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FaissIndex } from '@knn-lm/faiss';
import { clusteredVectors, MemorySource, newFolder, withCode } from '../test/memory-source.js';
import { buildIndex } from './build-index.js';
import { readIndexRecord } from './index-record.js';
import { KnnIndex } from './knn-index.js';

const dimension = 16;
const rows = 3000;
const vectors = clusteredVectors(rows, dimension);
const queries = vectors.slice(0, 20 * dimension);
const types = ['OPQ4,IVF16,PQ4np', 'IVF16,PQ8x4fs', 'IVF16,SQfp16', 'PCA8,IVF4,Flat', 'IVF16,PQ4np'];

function source(): MemorySource {
  return new MemorySource(vectors, dimension);
}

describe.each(types)('an index from the factory string %s', (type) => {
  it('is built, kept, opened and searched', async () => {
    const keys = source();
    const built = await buildIndex(keys, { type, nprobe: 4, trainedKeys: 2000 });
    expect(built).toMatchObject({ size: rows, trainedKeys: 2000, readKeys: 2000 });
    expect(readIndexRecord(built.path)).toMatchObject({ type, dimension, rows, bytes: built.bytes });

    const kept = await buildIndex(keys, { type, nprobe: 4 });
    expect(kept.kept).toBe(true);

    const index = await KnnIndex.open(built.path);
    expect(index).toMatchObject({ size: rows, dimension, nprobe: 4, type });
    const { ids } = await index.search(queries, 10);
    const found = Array.from({ length: 20 }, (_, row) => ids.subarray(row * 10, row * 10 + 10).includes(row));
    expect(found.filter(Boolean).length).toBeGreaterThanOrEqual(18);
    index.close();
  });

  it('is added to its trained index again', async () => {
    const keys = source();
    const built = await buildIndex(keys, { type, threads: 1 });
    const bytes = await readFile(built.path);
    await rm(built.path);
    const again = await buildIndex(keys, { type, threads: 1 });
    expect(again).toMatchObject({ reusedTraining: true, trainedKeys: 0 });
    expect((await readFile(again.path)).equals(bytes)).toBe(true);
  });
});

describe('an index of a kind that cannot be checked', () => {
  const type = 'OPQ4,IVF16,PQ4np';

  it('is refused when it has changed, unless it is trusted', async () => {
    const { path } = await buildIndex(source(), { type });
    const bytes = await readFile(path);
    bytes[bytes.length - 1] ^= 1;
    await writeFile(path, bytes);
    await expect(KnnIndex.open(path)).rejects.toMatchObject({
      code: 'KNN_INDEX_UNTRUSTED',
      message: expect.stringContaining('it has changed since it was built') as string,
      hint: expect.stringContaining('--trust-index') as string,
    });
    (await KnnIndex.open(path, { trust: true })).close();
    await writeFile(path, bytes.subarray(0, bytes.length - 1));
    await expect(KnnIndex.open(path)).rejects.toEqual(withCode('KNN_INDEX_UNTRUSTED'));
    await expect(KnnIndex.open(path, { trust: true })).rejects.toEqual(withCode('FAISS_INDEX_FORMAT'));
  });

  it('is refused when it was made elsewhere, unless it is trusted', async () => {
    const path = join(newFolder(), 'faiss.index');
    const made = FaissIndex.factory(dimension, type);
    await made.train(vectors);
    await made.add(vectors);
    await made.write(path);
    made.close();
    await expect(KnnIndex.open(path)).rejects.toMatchObject({
      code: 'KNN_INDEX_UNTRUSTED',
      message: expect.stringContaining('nothing says that it was built here') as string,
    });
    const index = await KnnIndex.open(path, { trust: true });
    expect(index).toMatchObject({ size: rows, type: undefined });
    index.close();
    const keys = new MemorySource(vectors, dimension, join(path, '..'));
    await expect(buildIndex(keys, { type })).rejects.toEqual(withCode('KNN_INDEX_KIND'));
  });

  it('is trained again unless its training is unchanged and for the same string', async () => {
    const keys = source();
    const { path } = await buildIndex(keys, { type });
    await rm(path);
    await expect(buildIndex(keys, { type: 'OPQ4,IVF8,PQ4np' })).rejects.toMatchObject({
      code: 'KNN_INDEX_TRAINED_MISMATCH',
      message: expect.stringContaining('OPQ4,IVF16,PQ4np of 16 dimensions, but OPQ4,IVF8,PQ4np') as string,
    });
    const trained = join(keys.folder, 'faiss.trained_index');
    const bytes = await readFile(trained);
    bytes[600] ^= 1;
    await writeFile(trained, bytes);
    await expect(buildIndex(keys, { type })).rejects.toMatchObject({
      message: expect.stringContaining('its checksum has changed') as string,
    });
    await rm(`${trained}.json`);
    await expect(buildIndex(keys, { type })).rejects.toEqual(withCode('KNN_INDEX_TRAINED_MISMATCH'));
    expect((await buildIndex(keys, { type, overwrite: true })).reusedTraining).toBe(false);
  });
});

describe('a factory string that is wrong', () => {
  it.each(['nonsense', '', 'IVF0,Flat', 'PQ3np', 'IVF16,PQ4x25', 'IVF99999999999999999999,Flat', 'PQ0'])(
    'is an error before any work: "%s"',
    async (type) => {
      const keys = source();
      await expect(buildIndex(keys, { type })).rejects.toMatchObject({ name: 'KnnIndexError' });
      expect(keys.rowsRead).toBe(0);
      expect(await readdir(keys.folder)).toEqual([]);
    },
  );

  it('is an error of its training where Faiss sees it only then', async () => {
    const keys = source();
    await expect(buildIndex(keys, { type: 'PCA32,IVF4,Flat' })).rejects.toMatchObject({ name: 'FaissError' });
    await expect(buildIndex(keys, { type: 'IVF4000,Flat' })).rejects.toEqual(
      withCode('FAISS_TOO_FEW_VECTORS'),
    );
    expect(await readdir(keys.folder)).toEqual([]);
  });
});
