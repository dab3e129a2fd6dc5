import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { float32FromFloat16 } from '@knn-lm/common';
import { fixture, fixturesFolder, readNpy } from '@knn-lm/testing';
import { describe, expect, it } from 'vitest';
import { bytesOf, int64Of, keysF32, keysOf, newFolder, valuesOf } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import type { DatastoreShape, KeysDtype } from './layout.js';

const engines = ['native', 'portable'] as const;
type EngineName = (typeof engines)[number];

/** A datastore without a manifest, in a new folder. */
async function make(shape: DatastoreShape, keys?: Uint16Array | Float32Array): Promise<string> {
  const folder = await newFolder();
  const { rows, dimension, dtype } = shape;
  await writeFile(join(folder, 'keys.npy'), bytesOf(keys ?? keysOf(0, rows, dimension, dtype)));
  await writeFile(join(folder, 'values.npy'), int64Of(valuesOf(0, rows)));
  return folder;
}

function exact(query: Float32Array, key: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < query.length; i++) sum += (query[i] - key[i]) ** 2;
  return sum;
}

/** The bound that `squaredDistances` states, and a rounding to float32. */
const tolerance = (dimension: number): number => (dimension / 32 + 8) * 2 ** -24;

function widened(keys: Uint16Array | Float32Array): Float32Array {
  return keys instanceof Uint16Array ? float32FromFloat16(keys) : keys;
}

describe.each(engines)('the %s engine', (engine: EngineName) => {
  it('reads and gathers any rows', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<KeysDtype>('fp16', 'fp32'),
        fc.integer({ min: 1, max: 300 }),
        fc.integer({ min: 1, max: 70 }),
        fc.array(fc.nat()),
        async (dtype, rows, dimension, picks) => {
          const shape = { rows, dimension, dtype };
          const all = widened(keysOf(0, rows, dimension, dtype));
          const datastore = await Datastore.open(await make(shape), { ...shape, engine });
          expect(datastore.engine).toBe(engine);
          const start = (picks[0] ?? 0) % rows;
          expect(datastore.readKeys(start, rows - start)).toEqual(all.slice(start * dimension));
          expect(datastore.readValues(start, rows - start)).toEqual(valuesOf(start, rows - start));
          const ids = Float64Array.from(picks, (pick) => (pick % (rows + 1)) - 1); // -1 is the last row
          const row = (id: number): number => (id === -1 ? rows - 1 : id);
          expect(datastore.gatherValues(ids)).toEqual(Int32Array.from(ids, (id) => row(id) % 1000));
          const gathered = datastore.gatherKeys(ids);
          ids.forEach((id, i) =>
            expect(gathered.subarray(i * dimension, (i + 1) * dimension)).toEqual(
              all.subarray(row(id) * dimension, (row(id) + 1) * dimension),
            ),
          );
          datastore.close();
        },
      ),
      { numRuns: 25 },
    );
  });

  it('computes distances within the stated tolerance, the same with every kernel and number of threads', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<KeysDtype>('fp16', 'fp32'),
        fc.constantFrom(1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 1024, 1030),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 5 }),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 4 }),
        async (dtype, dimension, rows, queryCount, k, threads) => {
          const shape = { rows, dimension, dtype };
          const keys = keysOf(0, rows, dimension, dtype);
          const datastore = await Datastore.open(await make(shape, keys), { ...shape, engine });
          const queries = keysF32(rows, queryCount, dimension);
          const ids = Float64Array.from({ length: queryCount * k }, (_, i) => ((i * 7919) % (rows + 1)) - 1);
          const results = await Promise.all(
            datastore.kernels.map((kernel) =>
              datastore.squaredDistances(queries, ids, k, undefined, { kernel, threads }),
            ),
          );
          for (const result of results) expect(result).toEqual(results[0]);
          const all = widened(keys);
          for (let i = 0; i < ids.length; i++) {
            const row = ids[i] === -1 ? rows - 1 : ids[i];
            const query = queries.subarray(
              Math.floor(i / k) * dimension,
              (Math.floor(i / k) + 1) * dimension,
            );
            const expected = exact(query, all.subarray(row * dimension, (row + 1) * dimension));
            expect(Math.abs(results[0][i] - expected)).toBeLessThanOrEqual(expected * tolerance(dimension));
          }
          datastore.close();
        },
      ),
      { numRuns: 40 },
    );
  });

  it('gives a missing neighbour the distance of the last row, or infinity', async () => {
    const shape = { rows: 5, dimension: 3, dtype: 'fp32' } as const;
    const datastore = await Datastore.open(await make(shape), { ...shape, engine });
    const query = keysF32(4, 1, 3);
    const ids = new Float64Array([-1, 4, 0]);
    const last = await datastore.squaredDistances(query, ids, 3);
    expect([...last.subarray(0, 2)]).toEqual([0, 0]);
    const infinite = await datastore.squaredDistances(query, ids, 3, undefined, { missing: 'infinity' });
    expect([...infinite]).toEqual([Infinity, 0, last[2]]);
    datastore.close();
  });

  it('widens all half-precision patterns exactly', async () => {
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const shape = { rows: 64, dimension: 1024, dtype: 'fp16' } as const;
    const datastore = await Datastore.open(await make(shape, patterns), { ...shape, engine });
    expect(datastore.readKeys(0, 64)).toEqual(float32FromFloat16(patterns));
    expect(datastore.gatherKeys(Float64Array.from({ length: 64 }, (_, i) => i))).toEqual(
      float32FromFloat16(patterns),
    );
    // Distances to zero are the squares: all finite patterns one by one, on every kernel.
    const columns = { rows: 65536, dimension: 1, dtype: 'fp16' } as const;
    const narrow = await Datastore.open(await make(columns, patterns), { ...columns, engine });
    const finite = patterns.filter((bits) => (bits & 0x7c00) !== 0x7c00);
    const squares = float32FromFloat16(finite).map((x) => Math.fround(x * x));
    for (const kernel of narrow.kernels)
      expect(
        await narrow.squaredDistances(
          new Float32Array(1),
          Float64Array.from(finite),
          finite.length,
          undefined,
          {
            kernel,
          },
        ),
      ).toEqual(squares);
    datastore.close();
    narrow.close();
  });

  it('refuses ids that are no rows, arrays that do not fit, and rows out of range', async () => {
    const shape = { rows: 5, dimension: 3, dtype: 'fp16' } as const;
    const datastore = await Datastore.open(await make(shape), { ...shape, engine });
    const query = new Float32Array(3);
    for (const id of [5, -2, 0.5, NaN, Infinity, -Infinity, 2 ** 53, -1e300]) {
      const ids = new Float64Array([0, id]);
      const outOfRange = { code: 'DATASTORE_ID_OUT_OF_RANGE', name: 'DatastoreError' };
      await expect(datastore.squaredDistances(query, ids, 2)).rejects.toMatchObject(outOfRange);
      expect(() => datastore.gatherValues(ids)).toThrow(expect.objectContaining(outOfRange));
      expect(() => datastore.gatherKeys(ids)).toThrow(`id ${id} (element 1)`);
    }
    const bad = { code: 'DATASTORE_BAD_ARGUMENT', name: 'DatastoreError' };
    const calls = [
      () => datastore.squaredDistances(query, new Float64Array(3), 2),
      () => datastore.squaredDistances(query, new Float64Array(4), 2),
      () => datastore.squaredDistances(query, new Float64Array(2), 0),
      () => datastore.squaredDistances(query, new Float64Array(2), 2, new Float32Array(3)),
      () => datastore.squaredDistances(query, new Float64Array(2), 2, undefined, { threads: 0 }),
      () => datastore.squaredDistances(query, new Float64Array(2), 2, undefined, { kernel: 'mmx' }),
    ];
    for (const call of calls) await expect(call()).rejects.toMatchObject(bad);
    expect(() => datastore.gatherValues(new Float64Array(2), new Int32Array(1))).toThrow(
      expect.objectContaining(bad),
    );
    for (const [start, count] of [
      [0, 6],
      [5, 1],
      [-1, 2],
      [0, 2 ** 40],
      [0.5, 1],
      [NaN, 1],
    ]) {
      const outOfRange = expect.objectContaining({ code: 'DATASTORE_ROWS_OUT_OF_RANGE' }) as Error;
      expect(() => datastore.readKeys(start, count)).toThrow(outOfRange);
      expect(() => datastore.readValues(start, count)).toThrow(outOfRange);
    }
    expect(await datastore.squaredDistances(new Float32Array(0), new Float64Array(0), 4)).toHaveLength(0);
    datastore.close();
  });

  it('names a value that is no token id', async () => {
    const shape = { rows: 5, dimension: 3, dtype: 'fp16' } as const;
    const folder = await make(shape);
    const values = int64Of(valuesOf(0, 5));
    for (const value of [2n ** 31n, -(2n ** 31n) - 1n, 2n ** 40n + 7n]) {
      values.writeBigInt64LE(value, 3 * 8);
      await writeFile(join(folder, 'values.npy'), values);
      const datastore = await Datastore.open(folder, { ...shape, engine });
      const wrong = expect.objectContaining({
        code: 'DATASTORE_BAD_VALUE',
        message: expect.stringMatching(/row 3/) as string,
      }) as Error;
      expect(() => datastore.readValues(0, 5)).toThrow(wrong);
      expect(() => datastore.gatherValues(new Float64Array([0, 3]))).toThrow(wrong);
      expect(datastore.readValues(0, 3)).toEqual(valuesOf(0, 3));
      datastore.close();
    }
  });

  it('finishes calls under way when it is closed, and refuses later ones', async () => {
    const shape = { rows: 500, dimension: 64, dtype: 'fp16' } as const;
    const folder = await make(shape);
    const open = await Datastore.open(folder, { ...shape, engine });
    const queries = keysF32(0, 20, 64);
    const ids = Float64Array.from({ length: 20 * 200 }, (_, i) => i % 500);
    const expected = await open.squaredDistances(queries, ids, 200);
    const calls = Array.from({ length: 4 }, () => open.squaredDistances(queries, ids, 200));
    open.close();
    open.close();
    for (const result of await Promise.all(calls)) expect(result).toEqual(expected);
    const closed = expect.objectContaining({ code: 'DATASTORE_CLOSED' }) as Error;
    await expect(open.squaredDistances(queries, ids, 200)).rejects.toThrow(closed);
    expect(() => open.readKeys(0, 1)).toThrow(closed);
    expect(() => open.readValues(0, 1)).toThrow(closed);
    await expect(open.moveToMemory()).rejects.toThrow(closed);
  });

  it('is not disturbed by what happens to its arguments meanwhile', async () => {
    const shape = { rows: 500, dimension: 64, dtype: 'fp16' } as const;
    const datastore = await Datastore.open(await make(shape), { ...shape, engine });
    const queries = keysF32(0, 20, 64);
    const ids = Float64Array.from({ length: 20 * 200 }, (_, i) => i % 500);
    const expected = await datastore.squaredDistances(queries, ids, 200);
    const call = datastore.squaredDistances(queries, ids, 200);
    const gone = new Float32Array(ids.length);
    const other = datastore.squaredDistances(queries, ids, 200, gone);
    for (const { buffer } of [gone, queries]) structuredClone(buffer, { transfer: [buffer as ArrayBuffer] });
    ids.fill(1e15);
    expect(await call).toEqual(expected);
    expect(await other).toHaveLength(0);
    datastore.close();
  });

  it('notices a file that was cut after it was opened', async () => {
    const shape = { rows: 5000, dimension: 64, dtype: 'fp16' } as const;
    const folder = await make(shape);
    const datastore = await Datastore.open(folder, { ...shape, engine });
    await truncate(join(folder, 'keys.npy'), 1000);
    const cut = expect.objectContaining({ code: 'DATASTORE_SIZE_MISMATCH' }) as Error;
    const ids = new Float64Array([4999]);
    await expect(datastore.squaredDistances(new Float32Array(64), ids, 1)).rejects.toThrow(cut);
    expect(() => datastore.gatherKeys(ids)).toThrow(cut);
    expect(() => datastore.readKeys(4990, 10)).toThrow(cut);
    datastore.close();
  });

  it('moves keys to memory with progress, and stops on a signal', async () => {
    const shape = { rows: 9000, dimension: 4096, dtype: 'fp16' } as const; // 74 MB: two parts
    const keys = new Uint16Array(9000 * 4096).fill(0x3c00);
    const datastore = await Datastore.open(await make(shape, keys), { ...shape, engine });
    const seen: number[] = [];
    await datastore.moveToMemory({ onProgress: ({ done }) => seen.push(done) });
    expect(seen).toEqual([64 * 2 ** 20, 9000 * 4096 * 2]);
    const controller = new AbortController();
    const stopped = datastore.moveToMemory({
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' });
    datastore.close();
  });
});

describe('both engines', () => {
  it('give the same bits', async () => {
    for (const dtype of ['fp16', 'fp32'] as const) {
      const shape = { rows: 300, dimension: 200, dtype };
      const folder = await make(shape);
      const [native, portable] = await Promise.all(
        engines.map((engine) => Datastore.open(folder, { ...shape, engine })),
      );
      const queries = keysF32(1000, 10, 200);
      const ids = Float64Array.from({ length: 10 * 150 }, (_, i) => (i * 31) % 300);
      expect(await native.squaredDistances(queries, ids, 150)).toEqual(
        await portable.squaredDistances(queries, ids, 150),
      );
      native.close();
      portable.close();
    }
  });
});

const golden = fileURLToPath(new URL('../test/golden', import.meta.url));

async function expectGolden(
  folder: string,
  shape: DatastoreShape,
  run: { queries: string; ids: string; distances: string },
): Promise<void> {
  const queries = readNpy(run.queries);
  const ids = readNpy(run.ids);
  const expected = readNpy(run.distances).data as Float32Array;
  for (const engine of engines) {
    const datastore = await Datastore.open(folder, { ...shape, engine });
    const found = await datastore.squaredDistances(
      queries.data as Float32Array,
      Float64Array.from(ids.data as Int32Array),
      ids.shape[1],
    );
    // PyTorch sums in another order, also in float32: both are within the tolerance of the exact value.
    found.forEach((distance, i) =>
      expect(Math.abs(distance - expected[i]) / expected[i]).toBeLessThan(2 * tolerance(shape.dimension)),
    );
    datastore.close();
  }
}

describe('distances of the Python system', () => {
  it('are found again on a part of its datastore', async () => {
    await expectGolden(
      golden,
      { rows: 188, dimension: 256, dtype: 'fp16' },
      {
        queries: join(golden, 'queries.npy'),
        ids: join(golden, 'ids.npy'),
        distances: join(golden, 'distances.npy'),
      },
    );
  });

  it.skipIf(fixturesFolder === undefined)('are found again on its datastore', async () => {
    const run = ['pipeline', 'knn', 'flat_k64_l0.25_recompute'];
    await expectGolden(
      fixture('pipeline', 'datastore', 'main'),
      { rows: 20238, dimension: 256, dtype: 'fp16' },
      {
        queries: fixture(...run, 'search_queries.npy'),
        ids: fixture(...run, 'search_ids.npy'),
        distances: fixture(...run, 'search_distance_used.npy'),
      },
    );
  });

  it.skipIf(fixturesFolder === undefined)('are found again where neighbours are missing', async () => {
    const run = ['pipeline', 'knn', 'ivfpq_k1024_nprobe1_recompute'];
    const ids = readNpy(fixture(...run, 'search_ids.npy'));
    expect(ids.data as Int32Array).toContain(-1);
    const datastore = await Datastore.open(fixture('pipeline', 'datastore', 'main'), {
      rows: 20238,
      dimension: 256,
      dtype: 'fp16',
    });
    const queries = (readNpy(fixture(...run, 'search_queries.npy')).data as Float32Array).slice(
      0,
      ids.shape[0] * 256,
    );
    const expected = readNpy(fixture(...run, 'search_distance_used.npy')).data as Float32Array;
    const all = Float64Array.from(ids.data as Int32Array);
    const found = await datastore.squaredDistances(queries, all, ids.shape[1]);
    found.forEach((distance, i) =>
      expect(Math.abs(distance - expected[i]) / expected[i]).toBeLessThan(2 * tolerance(256)),
    );
    datastore.close();
  });
});
