import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newFolder } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { dedupDatastore } from './dedup.js';
import { hashRows } from './row-hash.js';

interface Row {
  readonly key: readonly number[];
  readonly value: number;
}

async function store(rows: readonly Row[], dtype: 'fp16' | 'fp32'): Promise<Datastore> {
  const folder = await newFolder();
  const elements = rows.flatMap(({ key }) => key);
  await writeFile(
    join(folder, 'keys.npy'),
    dtype === 'fp16' ? Uint16Array.from(elements) : Float32Array.from(elements),
  );
  await writeFile(join(folder, 'values.npy'), BigInt64Array.from(rows.map(({ value }) => BigInt(value))));
  return Datastore.open(folder, { rows: rows.length, dimension: rows[0].key.length, dtype });
}

async function rowsOf(folder: string): Promise<Row[]> {
  const datastore = await Datastore.open(folder);
  const { rows, dimension } = datastore;
  const keys = datastore.readStoredKeys(0, rows);
  const values = datastore.readValues(0, rows);
  datastore.close();
  return Array.from(values, (value, i) => ({
    key: [...keys.subarray(i * dimension, (i + 1) * dimension)],
    value,
  }));
}

describe('dedupDatastore', () => {
  it('keeps the first of equal rows, in order, however they are parted', async () => {
    const row = (dimension: number) =>
      fc.record({
        key: fc.array(fc.constantFrom(0, 1, 2), { minLength: dimension, maxLength: dimension }),
        value: fc.nat(2),
      });
    const rows = fc
      .integer({ min: 1, max: 3 })
      .chain((d) => fc.array(row(d), { minLength: 1, maxLength: 80 }));
    await fc.assert(
      fc.asyncProperty(
        rows,
        fc.constantFrom('fp16', 'fp32'),
        fc.integer({ min: 1, max: 100 }),
        async (all, dtype, n) => {
          const source = await store(all, dtype);
          const folder = await newFolder();
          const { rows, dropped } = await dedupDatastore(source, folder, { rowsAtOnce: n });
          source.close();
          const expected = [...new Map(all.map((each) => [JSON.stringify(each), each])).values()];
          expect(await rowsOf(folder)).toEqual(expected);
          expect([rows, dropped]).toEqual([expected.length, all.length - expected.length]);
          expect((await readdir(folder)).sort()).toEqual(['datastore.msgpack', 'keys.npy', 'values.npy']);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('tells rows apart that differ in the value or one bit of the key only', async () => {
    const rows = [
      { key: [0, 1], value: 1 },
      { key: [0, 1], value: 2 },
      { key: [0x8000, 1], value: 1 },
      { key: [0, 1], value: 1 },
    ];
    const folder = await newFolder();
    await dedupDatastore(await store(rows, 'fp16'), folder);
    expect(await rowsOf(folder)).toEqual(rows.slice(0, 3));
  });

  it('goes on after a stop, to the same bytes; another source is not continued', async () => {
    const rows = Array.from({ length: 3000 }, (_, i) => ({
      key: Array.from({ length: 2048 }, (_, j) => (i % 2000) + j),
      value: i % 2000,
    }));
    const source = await store(rows, 'fp16');
    const [straight, stopped] = [await newFolder(), await newFolder()];
    expect(await dedupDatastore(source, straight)).toMatchObject({ rows: 2000, dropped: 1000 });
    const controller = new AbortController();
    const stopping = dedupDatastore(source, stopped, {
      signal: controller.signal,
      onProgress: ({ stage }) => stage === 'append' && controller.abort(),
    });
    await expect(stopping).rejects.toMatchObject({ code: 'CANCELLED' });
    const other = await store([...rows, { ...rows[0], value: 7 }], 'fp16');
    await expect(dedupDatastore(other, stopped)).rejects.toMatchObject({ code: 'DATASTORE_MISMATCH' });
    const stages = new Set<string>();
    const onProgress = ({ stage }: { stage: string }) => void stages.add(stage);
    expect((await dedupDatastore(source, stopped, { onProgress })).rowsResumed).toBeGreaterThan(0);
    expect([...stages]).toEqual(['append']);
    expect((await readdir(stopped)).sort()).toEqual(['datastore.msgpack', 'keys.npy', 'values.npy']);
    for (const name of ['keys.npy', 'values.npy', 'datastore.msgpack']) {
      const [a, b] = await Promise.all([straight, stopped].map((folder) => readFile(join(folder, name))));
      expect(sha256(a), name).toBe(sha256(b));
    }
  });
});

describe('hashRows', () => {
  it('has few collisions among similar rows', () => {
    const [rows, dimension] = [200_000, 8];
    const keys = Uint16Array.from({ length: rows * dimension }, (_, i) =>
      i % dimension === 3 ? Math.floor(i / dimension) & 0xffff : 0x3c00,
    );
    const hashes = hashRows(
      keys,
      Int32Array.from({ length: rows }, (_, i) => i >> 16),
    );
    expect(new Set(hashes).size).toBe(rows);
    expect(hashes.every((hash) => Number.isSafeInteger(hash) && hash >= 0)).toBe(true);
    const partitions = new Array<number>(16).fill(0);
    for (const hash of hashes) partitions[hash % 16]++;
    for (const count of partitions) expect(Math.abs(count / (rows / 16) - 1)).toBeLessThan(0.05);
  });
});

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
