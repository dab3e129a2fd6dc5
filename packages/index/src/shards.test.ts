import { existsSync } from 'node:fs';
import { readFile, readdir, rm, truncate, writeFile, copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fileSource, runAndKill } from '../test/kill.js';
import { clusteredVectors, MemorySource, newFolder, withCode } from '../test/memory-source.js';
import { buildIndex } from './build-index.js';
import type { BuildOptions } from './build-options.js';
import { findIndex, findShards } from './index-files.js';
import { readIndexRecord } from './index-record.js';
import { shardRows } from './index-target.js';
import { KnnIndex } from './knn-index.js';
import { measureIndex } from './measure-index.js';
import { mergeIndexShards } from './merge-shards.js';

const dimension = 8;
const rows = 3001;
const vectors = clusteredVectors(rows, dimension);
const queries = clusteredVectors(40, dimension, 5);
const ivfPq: BuildOptions = {
  type: 'IndexIVFPQ',
  centroids: 16,
  codeSize: 2,
  bitsPerIndex: 4,
  nprobe: 5,
  threads: 1,
};
const kinds: BuildOptions[] = [
  ivfPq,
  { type: 'OPQ2,IVF16,PQ2x4np', nprobe: 5, threads: 1 },
  { type: 'IVF16,SQ8', nprobe: 5, threads: 1 },
];
/** 50 have been run. */
const KILLS = Number(process.env['KNN_LM_TEST_KILLS'] ?? 6);

async function train(options: BuildOptions): Promise<MemorySource> {
  const source = new MemorySource(vectors, dimension);
  const { path, size } = await buildIndex(source, { ...options, trainOnly: true });
  expect([path, size]).toEqual([join(source.folder, 'faiss.trained_index'), 0]);
  return source;
}

async function buildShards(source: MemorySource, options: BuildOptions, numShards: number): Promise<void> {
  for (let shardId = 0; shardId < numShards; shardId++) {
    await buildIndex(source, { ...options, numShards, shardId });
  }
}

/** The finished index that building at once gives, from the same training. */
async function buildWhole(source: MemorySource, options: BuildOptions): Promise<Buffer> {
  const { path } = await buildIndex(source, options);
  const bytes = await readFile(path);
  for (const name of ['faiss.index', 'faiss.index.json']) await rm(join(source.folder, name));
  return bytes;
}

describe('rows of shards', () => {
  it('follow each other, and begin where a batch does', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: 1, max: 300 }), (total, given) => {
        const count = Math.min(given, total);
        const ranges = Array.from({ length: count }, (_, id) => shardRows(total, count, id));
        expect(ranges[0].firstRow).toBe(0);
        expect(ranges[count - 1].endRow).toBe(total);
        ranges.forEach(({ firstRow, endRow }, id) => {
          expect(endRow).toBeGreaterThan(firstRow);
          if (id > 0) expect(firstRow).toBe(ranges[id - 1].endRow);
          if (total >= 256 * count) expect(firstRow % 256).toBe(0);
        });
      }),
    );
  });
});

describe.each(kinds)('shards of $type', (options) => {
  it('are merged to the file that building at once gives', async () => {
    const source = await train(options);
    const expected = await buildWhole(source, options);
    await buildShards(source, options, 3);
    const merged = await mergeIndexShards(source.folder, { removeShards: true });
    expect(merged).toMatchObject({ shards: 3, size: rows, kept: false });
    expect((await readFile(merged.path)).equals(expected)).toBe(true);
    expect((await readdir(source.folder)).filter((name) => /shard|joined|tmp/.test(name))).toEqual([]);
    expect(readIndexRecord(merged.path)).toMatchObject({ rows, type: options.type });
    (await KnnIndex.open(merged.path)).close();
  });

  it('are searched as one', async () => {
    const source = await train(options);
    await buildWhole(source, options);
    const { path } = await buildIndex(source, options);
    const whole = await KnnIndex.open(path, { nprobe: 4 });
    const expected = await whole.search(queries, 70, { nprobe: 7 });
    const sizes = await whole.listSizes();
    whole.close();
    await rm(path);
    await buildShards(source, options, 4);
    const index = await KnnIndex.open(path, { nprobe: 4, map: true });
    expect(index.files.map((file) => file.slice(-14))).toEqual(
      [0, 1, 2, 3].map((id) => `x.shard-${id}-of-4`),
    );
    expect([index.size, index.dimension, index.nprobe, index.type]).toEqual([
      rows,
      dimension,
      4,
      options.type,
    ]);
    expect(index.description).toContain(`4 shards of`);
    expect(await index.listSizes()).toEqual(sizes);
    const found = await index.search(queries, 70, { nprobe: 7 });
    // Faiss leaves open which of several at the same distance it finds, and in which order.
    expect([...found.distances]).toEqual([...expected.distances].map((x) => expect.closeTo(x, 3) as number));
    for (let row = 0; row < 40; row++) {
      const [a, b] = [found, expected].map(({ ids, distances }) => {
        const last = distances[row * 70 + 69] * (1 - 1e-5);
        return [...ids.subarray(row * 70, row * 70 + 70)]
          .filter((_, i) => distances[row * 70 + i] < last)
          .sort();
      });
      expect(a).toEqual(b);
    }
    const statistics = await measureIndex(index, source, { queries: 10, ks: [5], nprobes: [16] });
    expect(statistics.recall[0].recalls[0][1]).toBeGreaterThan(0.1);
    expect(statistics.fileBytes).toBeGreaterThan(4000);
    index.close();
  });
});

describe('shards', () => {
  it('are built by a scheduler in any order, and each is kept when it is there', async () => {
    const source = await train(ivfPq);
    await expect(
      buildIndex(new MemorySource(vectors, dimension), { ...ivfPq, numShards: 2 }),
    ).rejects.toThrow(withCode('KNN_INDEX_NOT_TRAINED'));
    await buildIndex(source, { ...ivfPq, numShards: 2, shardId: 1 });
    expect(() => findShards(source.folder)).toThrow(
      /1 of 2 shards are missing, faiss.index.shard-0-of-2 first/,
    );
    await expect(mergeIndexShards(source.folder)).rejects.toThrow(withCode('KNN_INDEX_SHARDS'));
    const again = await buildIndex(source, { ...ivfPq, numShards: 2, shardId: 1 });
    expect(again).toMatchObject({ kept: true, size: rows - 1280 });
    await buildIndex(source, { ...ivfPq, numShards: 2, shardId: 0 });
    expect(findIndex(source.folder)).toHaveLength(2);
    expect((await mergeIndexShards(source.folder)).kept).toBe(false);
    expect((await mergeIndexShards(source.folder)).kept).toBe(true);
    expect((await mergeIndexShards(source.folder, { overwrite: true })).kept).toBe(false);
    expect(findIndex(source.folder)).toEqual([join(source.folder, 'faiss.index')]);
  });

  it('of another training, datastore or division are refused, with both sides', async () => {
    const source = await train(ivfPq);
    await buildShards(source, ivfPq, 2);
    const [first, second] = findShards(source.folder);
    const stranger = new MemorySource(clusteredVectors(rows, dimension, 9), dimension);
    await buildIndex(stranger, { ...ivfPq, trainOnly: true });
    await buildIndex(stranger, { ...ivfPq, numShards: 2, shardId: 1 });
    for (const name of [second, `${second}.json`]) await copyFile(name, `${name}.saved`);
    for (const end of ['', '.json']) await copyFile(findShardFile(stranger.folder) + end, second + end);
    const { trainedSha256 } = readIndexRecord(first) ?? {};
    await expect(mergeIndexShards(source.folder)).rejects.toThrow(`expected is ${trainedSha256}`);
    await expect(KnnIndex.open([first, second])).rejects.toThrow(withCode('KNN_INDEX_SHARDS'));
    // The trained index decides even where records are wrong.
    await copyFile(`${second}.json.saved`, `${second}.json`);
    await expect(mergeIndexShards(source.folder)).rejects.toThrow(/has changed since it was built/);
    await copyFile(`${second}.saved`, second);
    await copyFile(first, join(source.folder, 'faiss.index.shard-0-of-3'));
    await expect(mergeIndexShards(source.folder)).rejects.toThrow(/divisions into 2 and 3/);
    await expect(KnnIndex.open(join(source.folder, 'faiss.index'))).rejects.toThrow(
      withCode('KNN_INDEX_SHARDS'),
    );
  });

  it('are not for exact indexes, and have numbers', async () => {
    const source = new MemorySource(vectors, dimension);
    for (const options of [
      { type: 'IndexFlatL2', numShards: 2 },
      { type: 'IndexFlatL2', onDiskLists: true },
      { ...ivfPq, numShards: 2, shardId: 2 },
      { ...ivfPq, numShards: 0 },
      { ...ivfPq, numShards: 2, append: true },
    ]) {
      await expect(buildIndex(source, options)).rejects.toThrow(withCode('KNN_INDEX_ARGUMENT'));
    }
  });

  it('of fast scan are searched, and not merged', async () => {
    const options = { type: 'IVF16,PQ4x4fs', nprobe: 16, threads: 1 };
    const source = await train(options);
    await buildShards(source, options, 2);
    const index = await KnnIndex.open(join(source.folder, 'faiss.index'));
    const { ids } = await index.search(vectors.slice(2900 * dimension, 2901 * dimension), 1000);
    expect([...ids]).toContain(2900);
    index.close();
    await expect(mergeIndexShards(source.folder)).rejects.toThrow(withCode('FAISS_MERGE_KIND'));
    await expect(buildIndex(source, { ...options, onDiskLists: true })).rejects.toThrow(
      withCode('KNN_INDEX_KIND'),
    );
  });
});

describe('lists on disk', () => {
  it('are built in pieces, and are the same index', async () => {
    const source = await train(ivfPq);
    const expected = await buildWhole(source, ivfPq);
    const pieces = new Set<string>();
    const { path, bytes } = await buildIndex(source, {
      ...ivfPq,
      onDiskLists: true,
      pieceBytes: 5000,
      batchSize: 300,
      onProgress: () =>
        void readdirOf(source.folder).then((names) => names.forEach((name) => pieces.add(name))),
    });
    expect([...pieces].filter((name) => /^faiss.index.piece-\d+$/.test(name)).length).toBeGreaterThan(3);
    const left = (await readdir(source.folder)).sort();
    expect(left).toEqual([
      'faiss.index',
      expect.stringMatching(/^faiss\.index\.[0-9a-f]{12}\.ivfdata$/) as string,
      'faiss.index.json',
      'faiss.trained_index',
    ]);
    expect(bytes).toBeGreaterThan(expected.length);
    const index = await KnnIndex.open(path);
    expect(index.files).toEqual([path, join(source.folder, left[1])]);
    const plain = join(newFolder(), 'faiss.index');
    await writeFile(plain, expected);
    const other = await KnnIndex.open(plain);
    expect(await index.search(queries, 30)).toEqual(await other.search(queries, 30));
    index.close();
    other.close();
    await truncate(join(source.folder, left[1]), 100);
    await expect(KnnIndex.open(path)).rejects.toThrow(withCode('FAISS_LISTS_FILE'));
    await rm(join(source.folder, left[1]));
    await expect(KnnIndex.open(path)).rejects.toThrow(withCode('FAISS_LISTS_FILE'));
  });

  it('of kinds that cannot be checked are opened by their record', async () => {
    const options = { type: 'OPQ2,IVF16,PQ2x4np', threads: 1, onDiskLists: true };
    const source = new MemorySource(vectors, dimension);
    const { path } = await buildIndex(source, options);
    const index = await KnnIndex.open(path);
    await index.search(queries, 3);
    index.close();
    const lists = (await readdir(source.folder)).find((name) => name.endsWith('.ivfdata')) ?? '';
    await truncate(join(source.folder, lists), 100);
    await expect(KnnIndex.open(path)).rejects.toThrow(withCode('FAISS_LISTS_FILE'));
  });
});

describe('killed at any moment', () => {
  it.each([
    ['shards and their merge', 'shards'],
    ['a build in pieces', 'pieces'],
  ])(
    '%s give the same index in the end',
    async (_, what) => {
      const source = await train(ivfPq);
      const expected = await buildWhole(source, ivfPq);
      const keys = join(newFolder(), 'vectors');
      await writeFile(keys, vectors);
      const begin = async (): Promise<string> => {
        const folder = newFolder();
        await copyFile(join(source.folder, 'faiss.trained_index'), join(folder, 'faiss.trained_index'));
        return folder;
      };
      const script = (folder: string): string => `
      const source = ${fileSource(keys, folder, rows, dimension)};
      const options = ${JSON.stringify({ ...ivfPq, batchSize: 100, saveIntervalMs: 0, pieceBytes: 2000 })};
      ${
        what === 'pieces'
          ? 'await index.buildIndex(source, { ...options, onDiskLists: true });'
          : `for (const shardId of [0, 1, 2]) await index.buildIndex(source, { ...options, numShards: 3, shardId });
             await index.mergeIndexShards(source.folder);`
      }`;
      let folder = await begin();
      for (let kills = 0; kills < KILLS;) {
        const finished = await runAndKill(script(folder), Math.random() * 60);
        if (!finished) kills++;
        if (!finished && kills < KILLS) continue;
        if (!finished) await runAndKill(script(folder), 60_000);
        if (what === 'shards') {
          expect((await readFile(join(folder, 'faiss.index'))).equals(expected)).toBe(true);
        } else {
          const index = await KnnIndex.open(join(folder, 'faiss.index'));
          expect([index.size, index.files.length]).toEqual([rows, 2]);
          index.close();
        }
        expect((await readdir(folder)).filter((name) => /piece|joined|partial/.test(name))).toEqual([]);
        expect((await readdir(folder)).filter((name) => name.endsWith('.ivfdata')).length).toBe(
          what === 'pieces' ? 1 : 0,
        );
        folder = await begin();
      }
    },
    120_000,
  );
});

function findShardFile(folder: string): string {
  return join(folder, 'faiss.index.shard-1-of-2');
}

async function readdirOf(folder: string): Promise<string[]> {
  return existsSync(folder) ? readdir(folder) : [];
}
