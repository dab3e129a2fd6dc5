import { existsSync } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newFolder } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { greedyMerge, type NeighborSource } from './greedy-merge.js';
import { numpyPermutation } from './numpy-permutation.js';
import { pruneToRows } from './prune.js';
import { RowBits } from './row-bits.js';
import { ValueWeights } from './value-weights.js';

/** Keys of one dimension. */
async function store(keys: readonly number[], values: readonly number[]): Promise<Datastore> {
  const folder = await newFolder();
  await writeFile(join(folder, 'keys.npy'), Float32Array.from(keys));
  await writeFile(
    join(folder, 'values.npy'),
    BigInt64Array.from(values, (value) => BigInt(value)),
  );
  return Datastore.open(folder, { rows: keys.length, dimension: 1, dtype: 'fp32' });
}

/** Exact search; beyond `found` neighbours nothing is found. */
function exact(keys: readonly number[], found = Infinity): NeighborSource {
  const nearest = (query: number) =>
    keys
      .map((key, id) => ({ id, distance: (key - query) ** 2 }))
      .sort((a, b) => a.distance - b.distance || a.id - b.id)
      .slice(0, found);
  return {
    size: keys.length,
    dimension: 1,
    search(queries, k) {
      const rows = [...queries].map(nearest);
      const pick = <T>(take: (row: { id: number; distance: number }) => T, missing: T) =>
        rows.flatMap((row) => Array.from({ length: k }, (_, i) => (i < row.length ? take(row[i]) : missing)));
      const ids = Float64Array.from(pick(({ id }) => id, -1));
      return Promise.resolve({ ids, distances: Float32Array.from(pick(({ distance }) => distance, 3.4e38)) });
    },
  };
}

/** Says which queries it was asked. */
function counting(index: NeighborSource, asked: number[]): NeighborSource {
  return {
    ...index,
    search(queries, k) {
      asked.push(...queries);
      return index.search(queries, k);
    },
  };
}

/** The Python tool's loop. */
function expectedWeights(
  keys: readonly number[],
  values: readonly number[],
  k: number,
  seed: number,
): number[] {
  const weights = keys.map(() => 1);
  for (const i of numpyPermutation(seed, keys.length)) {
    const neighbors = keys
      .map((key, id) => ({ id, distance: (Math.fround(key) - Math.fround(keys[i])) ** 2 }))
      .sort((a, b) => a.distance - b.distance || a.id - b.id)
      .slice(0, k);
    for (const { id } of neighbors) {
      if (id === i || weights[id] !== 1 || values[id] !== values[i]) continue;
      weights[id] = 0;
      weights[i]++;
    }
  }
  return weights;
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

async function weightsOf(folder: string, rows: number): Promise<number[]> {
  const weights = await ValueWeights.open(folder, rows);
  const all = [...weights.gather(Float64Array.from({ length: rows }, (_, i) => i))];
  weights.close();
  return all;
}

describe('greedyMerge', () => {
  it('merges as the Python tool does; no entry is lost', async () => {
    const entries = fc.array(fc.record({ key: fc.integer({ min: 0, max: 20 }), value: fc.nat(2) }), {
      minLength: 1,
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(entries, fc.integer({ min: 1, max: 9 }), fc.nat(5), async (all, k, seed) => {
        const [keys, values] = [all.map(({ key }) => key), all.map(({ value }) => value)];
        const source = await store(keys, values);
        const folder = await newFolder();
        const { rows } = await greedyMerge(source, exact(keys), folder, { k, seed, batchSize: 7 });
        source.close();
        const weights = expectedWeights(keys, values, k, seed);
        const kept = [...keys.keys()].filter((i) => weights[i] > 0);
        const merged = await Datastore.open(folder);
        expect([...merged.readKeys(0, rows)]).toEqual(kept.map((i) => keys[i]));
        expect([...merged.readValues(0, rows)]).toEqual(kept.map((i) => values[i]));
        merged.close();
        const written = await weightsOf(folder, rows);
        expect(written).toEqual(kept.map((i) => weights[i]));
        expect(written.reduce((sum, weight) => sum + weight, 0)).toBe(keys.length);
        expect(existsSync(join(folder, 'datastore_knn_idx.npy'))).toBe(false);
      }),
      { numRuns: 30 },
    );
  });

  it('adds up the weights that there are', async () => {
    const entries = fc.array(
      fc.record({
        key: fc.integer({ min: 0, max: 20 }),
        value: fc.nat(2),
        weight: fc.integer({ min: 1, max: 9 }),
      }),
      { minLength: 1, maxLength: 40 },
    );
    await fc.assert(
      fc.asyncProperty(entries, async (all) => {
        const keys = all.map(({ key }) => key);
        const source = await store(
          keys,
          all.map(({ value }) => value),
        );
        const [plain, weighed] = [await newFolder(), await newFolder()];
        const { rows } = await greedyMerge(source, exact(keys), plain);
        await writeFile(
          join(source.folder, 'weight.npy'),
          Float32Array.from(all, ({ weight }) => weight),
        );
        await greedyMerge(source, exact(keys), weighed);
        expect(await readFile(join(weighed, 'keys.npy'))).toEqual(await readFile(join(plain, 'keys.npy')));
        const weights = await weightsOf(weighed, rows);
        expect(sumOf(weights)).toBe(sumOf(all.map(({ weight }) => weight)));
        expect(sumOf(await weightsOf(plain, rows))).toBe(all.length);
        const counts = await weightsOf(plain, rows);
        weights.forEach((weight, i) => expect(weight).toBeGreaterThanOrEqual(counts[i]));
      }),
      { numRuns: 25 },
    );
  });

  it('leaves neighbours alone that the index did not find, and keeps what it found on request', async () => {
    const keys = [1, 5, 9];
    const folder = await newFolder();
    const source = await store(keys, [4, 4, 4]);
    const { rows } = await greedyMerge(source, exact(keys, 1), folder, { k: 2, saveNeighbors: true });
    expect(rows).toBe(3);
    const ids = new BigInt64Array(
      new Uint8Array(await readFile(join(folder, 'datastore_knn_idx.npy'))).buffer,
    );
    expect([...ids]).toEqual([0n, -1n, 1n, -1n, 2n, -1n]);
    expect((await stat(join(folder, 'datastore_knn_distance.npy'))).size).toBe(6 * 4);
  });

  it('refuses another index, a finished folder, and its own folder; a stop is gone on from', async () => {
    const keys = [1, 2, 3];
    const source = await store(keys, [1, 1, 1]);
    const folder = await newFolder();
    await expect(greedyMerge(source, exact([1, 2]), folder)).rejects.toMatchObject({
      code: 'DATASTORE_INDEX_MISMATCH',
    });
    await expect(greedyMerge(source, exact(keys), source.folder)).rejects.toMatchObject({
      code: 'DATASTORE_SAME_FOLDER',
    });
    await expect(greedyMerge(source, exact(keys), folder, { k: 0 })).rejects.toMatchObject({
      code: 'DATASTORE_BAD_ARGUMENT',
    });
    const controller = new AbortController();
    const stopping = greedyMerge(source, exact(keys), folder, {
      batchSize: 1,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(stopping).rejects.toMatchObject({ code: 'CANCELLED' });
    expect((await readdir(folder)).sort()).toEqual(['datastore_knn_idx.json', 'datastore_knn_idx.npy']);
    const looked: number[] = [];
    await greedyMerge(source, counting(exact(keys), looked), folder, { batchSize: 1 });
    expect(looked).toEqual([2, 3]);
    expect((await readdir(folder)).sort()).toEqual([
      'datastore.msgpack',
      'keys.npy',
      'values.npy',
      'weight.npy',
    ]);
    await expect(greedyMerge(source, exact(keys), folder)).rejects.toMatchObject({
      code: 'DATASTORE_ALREADY_FINISHED',
    });
    await greedyMerge(source, exact(keys), folder, { k: 1, overwrite: true });
    expect(await weightsOf(folder, 3)).toEqual([1, 1, 1]);
  });
});

describe('pruneToRows', () => {
  it('writes the chosen rows with their weights', async () => {
    const source = await store([1, 2, 3, 4], [5, 6, 7, 8]);
    await writeFile(join(source.folder, 'weight.npy'), Float32Array.of(0.5, 1, 2, 3));
    const chosen = new RowBits(4);
    chosen.add(1);
    chosen.add(3);
    const folder = await newFolder();
    await pruneToRows(source, chosen, folder, { identity: { seed: 1 } });
    const pruned = await Datastore.open(folder);
    expect([...pruned.readKeys(0, 2), ...pruned.readValues(0, 2)]).toEqual([2, 4, 6, 8]);
    expect(pruned.manifest?.identity).toMatchObject({ seed: 1, prunedFrom: expect.any(String) as string });
    expect(await weightsOf(folder, 2)).toEqual([1, 3]);
    await expect(
      pruneToRows(source, new RowBits(4), await newFolder(), { identity: {} }),
    ).rejects.toMatchObject({
      code: 'DATASTORE_BAD_ARGUMENT',
    });
  });
});
