import { copyFile, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fileSource, runAndKill } from '../test/kill.js';
import { clusteredVectors, MemorySource, newFolder, withCode } from '../test/memory-source.js';
import { buildIndex } from './build-index.js';
import type { BuildOptions } from './build-options.js';
import { readIndexRecord } from './index-record.js';
import { KnnIndex } from './knn-index.js';

const dimension = 8;
const rows = 3001;
/** Where a batch ends, so that the grown index is the file that building at once gives. */
const oldRows = 2048;
const vectors = clusteredVectors(rows, dimension);
const queries = clusteredVectors(20, dimension, 5);
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
  { type: 'IndexFlatL2', threads: 1 },
  { type: 'OPQ2,IVF16,PQ2x4np', threads: 1 },
  { type: 'IVF16,PQ4x4fs', threads: 1 },
];
const KILLS = Number(process.env['KNN_LM_TEST_KILLS'] ?? 6);

/** A datastore with the first rows, and its index. */
async function begin(options: BuildOptions): Promise<MemorySource> {
  const source = new MemorySource(vectors.slice(0, oldRows * dimension), dimension);
  await buildIndex(source, options);
  return source;
}

function grown({ folder }: MemorySource, count = rows): MemorySource {
  return new MemorySource(vectors.slice(0, count * dimension), dimension, folder);
}

/** The file that building at once from the same training gives. */
async function atOnce(source: MemorySource, options: BuildOptions): Promise<Buffer> {
  const folder = newFolder();
  for (const name of ['faiss.trained_index', 'faiss.trained_index.json']) {
    await copyFile(join(source.folder, name), join(folder, name)).catch(() => undefined);
  }
  return readFile((await buildIndex(new MemorySource(vectors, dimension, folder), options)).path);
}

describe.each(kinds)('an index of $type', (options) => {
  it('gets the new rows of its datastore', async () => {
    const source = await begin(options);
    const larger = grown(source);
    await expect(buildIndex(larger, options)).rejects.toMatchObject({
      code: 'KNN_INDEX_SIZE',
      hint: expect.stringContaining('--append') as string,
    });
    const { path, ...result } = await buildIndex(larger, { ...options, append: true });
    expect(result).toMatchObject({ size: rows, appendedRows: rows - oldRows, kept: false, readKeys: 0 });
    expect((await readFile(path)).equals(await atOnce(source, options))).toBe(true);
    expect(readIndexRecord(path)).toMatchObject({
      rows,
      appended: [oldRows, rows - oldRows],
      datastore: { rows },
    });
    expect((await readdir(source.folder)).filter((name) => !name.includes('trained'))).toEqual([
      'faiss.index',
      'faiss.index.json',
    ]);
    const again = await buildIndex(larger, { ...options, append: true });
    expect(again).toMatchObject({ kept: true, appendedRows: 0 });
  });
});

describe('appending', () => {
  it('keeps lists in a file of their own there', async () => {
    const source = await begin({ ...ivfPq, onDiskLists: true });
    const { path } = await buildIndex(grown(source), { ...ivfPq, append: true });
    const index = await KnnIndex.open(path);
    expect(index.files).toHaveLength(2);
    const expected = join(newFolder(), 'faiss.index');
    await writeFile(expected, await atOnce(source, ivfPq));
    const whole = await KnnIndex.open(expected);
    expect(await index.search(queries, 30)).toEqual(await whole.search(queries, 30));
    expect((await readdir(source.folder)).filter((name) => name.endsWith('.ivfdata'))).toHaveLength(1);
    index.close();
    whole.close();
  });

  it('is refused where other keys, another kind or another training are found, with both sides', async () => {
    const source = await begin(ivfPq);
    const path = join(source.folder, 'faiss.index');
    const before = await readFile(path);
    const other = clusteredVectors(rows, dimension, 9);
    const append = (keys: Float32Array, options: BuildOptions = ivfPq): Promise<unknown> =>
      buildIndex(new MemorySource(keys, dimension, source.folder), { ...options, append: true });
    await expect(append(other)).rejects.toThrow(
      /was built from another datastore: sample \w+; .* has sample \w+/,
    );
    await expect(append(vectors.slice(0, 1000 * dimension))).rejects.toThrow(/2048 keys.*1000 keys/);
    await expect(append(vectors, { ...ivfPq, type: 'IVF16,SQ8' })).rejects.toThrow(
      /of type IndexIVFPQ, but IVF16,SQ8 is wanted/,
    );
    const stranger = new MemorySource(other, dimension);
    await buildIndex(stranger, { ...ivfPq, trainOnly: true });
    const trained = join(source.folder, 'faiss.trained_index');
    await copyFile(join(stranger.folder, 'faiss.trained_index'), trained);
    await expect(append(vectors)).rejects.toThrow(withCode('KNN_INDEX_TRAINED_MISMATCH'));
    await rm(`${path}.json`);
    await expect(append(vectors)).rejects.toThrow(withCode('KNN_INDEX_APPEND'));
    expect((await readFile(path)).equals(before)).toBe(true);
  });

  it.each([
    ['joined', ivfPq],
    ['with its lists on disk', { ...ivfPq, onDiskLists: true }],
    ['in memory', { type: 'IVF16,PQ4x4fs', threads: 1 }],
  ])(
    'can be killed at any moment, and the old index is there until the new one is: %s',
    async (_, options) => {
      const source = await begin(options);
      const keys = join(newFolder(), 'vectors');
      await writeFile(keys, vectors);
      const expected = options.onDiskLists === true ? undefined : await atOnce(source, options);
      const copy = async (): Promise<string> => {
        const folder = newFolder();
        for (const name of await readdir(source.folder))
          await copyFile(join(source.folder, name), join(folder, name));
        return folder;
      };
      const script = (folder: string): string => `
      const source = ${fileSource(keys, folder, rows, dimension)};
      const options = ${JSON.stringify({ ...options, append: true, batchSize: 100, saveIntervalMs: 0, pieceBytes: 2000 })};
      await index.buildIndex(source, options);`;
      let folder = await copy();
      for (let kills = 0; kills < KILLS;) {
        const finished = await runAndKill(script(folder), Math.random() * 60);
        if (!finished) kills++;
        const path = join(folder, 'faiss.index');
        const index = await KnnIndex.open(path);
        expect([oldRows, rows]).toContain(index.size);
        await index.search(queries, 3);
        index.close();
        if (!finished && kills < KILLS) continue;
        if (!finished) await runAndKill(script(folder), 60_000);
        if (expected !== undefined) expect((await readFile(path)).equals(expected)).toBe(true);
        expect(readIndexRecord(path)?.rows).toBe(rows);
        expect((await readdir(folder)).filter((name) => /piece|joined|partial|added/.test(name))).toEqual([]);
        folder = await copy();
      }
    },
    120_000,
  );
});
