import { open, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fixture, fixturesFolder } from '@knn-lm/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keysOf, newFolder, valuesOf } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { maxProblems } from './problems.js';
import { verifyDatastore } from './verify.js';
import { DatastoreWriter } from './writer.js';

const plan = { rows: 50, dimension: 3, dtype: 'fp16', identity: {}, segmentRows: 16 } as const;

async function make(rows = 50): Promise<string> {
  const folder = await newFolder();
  const writer = await DatastoreWriter.create(folder, plan);
  await writer.append(keysOf(0, rows, 3, 'fp16'), valuesOf(0, rows));
  if (rows === 50) await writer.finish();
  await writer.close();
  return folder;
}

describe('verifyDatastore', () => {
  it('finds nothing wrong with a good one', async () => {
    const folder = await make();
    const seen: number[] = [];
    const report = await verifyDatastore(folder, {
      vocabularySize: 50,
      onProgress: ({ done, total }) => seen.push(done / total!),
    });
    expect(report).toMatchObject({
      folder,
      ok: true,
      finished: true,
      rows: 50,
      checkedRows: 50,
      problems: [],
      problemCount: 0,
      zeroKeys: 0,
      minValue: 0,
      maxValue: 49,
    });
    expect(seen.at(-1)).toBe(1);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  });

  it('finds every flipped bit and names the rows', async () => {
    const folder = await make();
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('keys.npy', 'values.npy'), fc.nat(), async (name, at) => {
        const path = join(folder, name);
        const bytes = await readFile(path);
        const bit = at % (bytes.length * 8);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        await writeFile(path, bytes);
        const report = await verifyDatastore(folder);
        bytes[bit >> 3] ^= 1 << (bit & 7);
        await writeFile(path, bytes);
        const row = Math.floor((bit >> 3) / (bytes.length / 50));
        expect(report.ok).toBe(false);
        expect(report.problems).toContainEqual(
          expect.objectContaining({ kind: 'checksum', path, row: Math.floor(row / 16) * 16 }),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('finds files that are cut, longer, or missing', async () => {
    for (const [name, change, kinds] of [
      ['keys.npy', (path: string) => truncate(path, 150), ['size', 'checksum']],
      ['keys.npy', (path: string) => truncate(path, 400), ['size']],
      ['values.npy', (path: string) => truncate(path, 1000), ['size']],
      ['values.npy', (path: string) => rm(path), ['missing']],
      ['keys.npy', (path: string) => truncate(path, 0), ['size']],
    ] as const) {
      const folder = await make();
      await change(join(folder, name));
      const report = await verifyDatastore(folder);
      expect(report.problems.map(({ kind }) => kind)).toEqual(kinds);
      expect(report.problems.every(({ path }) => path === join(folder, name))).toBe(true);
    }
  });

  it('finds arrays of another datastore of the same shape, and so does the quick check', async () => {
    for (const name of ['keys.npy', 'values.npy']) {
      const folder = await make();
      const other = await newFolder();
      const writer = await DatastoreWriter.create(other, plan);
      await writer.append(keysOf(50, 50, 3, 'fp16'), valuesOf(50, 50));
      await writer.finish();
      await writer.close();
      await rename(join(other, name), join(folder, name));
      const { problems } = await verifyDatastore(folder);
      expect(problems).toHaveLength(4);
      for (const problem of problems)
        expect(problem).toMatchObject({ kind: 'checksum', path: join(folder, name) });
      const datastore = await Datastore.open(folder);
      const quick = await datastore.quickVerify();
      expect(quick).toMatchObject({ ok: false, checkedValues: 50, checkedKeys: 2 });
      expect(quick.problems[0]).toMatchObject({ kind: 'checksum', path: join(folder, name) });
      datastore.close();
    }
  });

  it('has nothing against a good one in the quick check, of this program or another', async () => {
    const folder = await make();
    for (const needKeys of [true, false]) {
      const datastore = await Datastore.open(folder, { needKeys });
      expect(await datastore.quickVerify({ vocabularySize: 50 })).toEqual({
        ok: true,
        problems: [],
        checkedValues: 50,
        checkedKeys: needKeys ? 2 : 0,
      });
      datastore.close();
    }
    await rm(join(folder, 'datastore.msgpack'));
    const python = await Datastore.open(folder, { rows: 50, dimension: 3, dtype: 'fp16' });
    expect((await python.quickVerify({ vocabularySize: 50 })).ok).toBe(true);
    expect((await python.quickVerify({ vocabularySize: 49 })).problems).toEqual([
      expect.objectContaining({ kind: 'value-out-of-range', row: 49 }),
    ]);
    python.close();
  });

  it('says that one is unfinished, and checks what is committed', async () => {
    const folder = await make(20);
    await writeFile(join(folder, 'keys.npy'), 'the rest of a write', { flag: 'a' });
    const report = await verifyDatastore(folder);
    expect(report).toMatchObject({ ok: false, finished: false, checkedRows: 20, problemCount: 1 });
    expect(report.problems[0].message).toMatch(/20 of 50 rows are committed/);
  });

  it('checks one of the Python tools: finite keys, zero keys, values in the vocabulary', async () => {
    const folder = await make();
    await rm(join(folder, 'datastore.msgpack'));
    const keys = await readFile(join(folder, 'keys.npy'));
    keys.writeUInt16LE(0xfc00, (7 * 3 + 1) * 2);
    keys.fill(0, 40 * 6).fill(0, 12, 18);
    await writeFile(join(folder, 'keys.npy'), keys);
    const values = await readFile(join(folder, 'values.npy'));
    values.writeBigInt64LE(-5n, 8 * 8);
    await writeFile(join(folder, 'values.npy'), values);
    const shape = { rows: 50, dimension: 3, dtype: 'fp16' } as const;
    const report = await verifyDatastore(folder, { ...shape, vocabularySize: 49 });
    expect(report).toMatchObject({
      ok: false,
      finished: undefined,
      zeroKeys: 11,
      zeroKeysAtEnd: 10,
      minValue: -5,
    });
    expect(report.problems).toEqual([
      expect.objectContaining({ kind: 'key-not-finite', row: 7 }),
      expect.objectContaining({ kind: 'value-out-of-range', row: 8 }),
      expect.objectContaining({ kind: 'value-out-of-range', row: 49 }),
    ]);
    await expect(verifyDatastore(folder)).rejects.toMatchObject({ code: 'DATASTORE_OPTIONS_NEEDED' });
  });

  it('counts problems that it does not list', async () => {
    const folder = await newFolder();
    await writeFile(join(folder, 'keys.npy'), new Uint8Array(6000).fill(0xff));
    await writeFile(join(folder, 'values.npy'), new Uint8Array(8000));
    const report = await verifyDatastore(folder, { rows: 1000, dimension: 3, dtype: 'fp16' });
    expect(report.problems).toHaveLength(maxProblems);
    expect(report.problemCount).toBe(1000);
  });

  it('finds the same in threads as in one, and in the order of the rows', async () => {
    const folder = await newFolder();
    // 120 MB of zeros, sparse on disk: enough for threads.
    const shape = { rows: 60_000, dimension: 1000, dtype: 'fp16' } as const;
    await writeFile(join(folder, 'keys.npy'), '');
    await truncate(join(folder, 'keys.npy'), shape.rows * 2000);
    await writeFile(join(folder, 'values.npy'), new Uint8Array(shape.rows * 8));
    const keys = await open(join(folder, 'keys.npy'), 'r+');
    for (const row of [3, 40_000, 59_000]) await keys.write(Uint8Array.of(0, 0x7c), 0, 2, row * 2000 + 10);
    await keys.close();
    const seen: number[] = [];
    const one = await verifyDatastore(folder, { ...shape, threads: 1 });
    const two = await verifyDatastore(folder, {
      ...shape,
      threads: 2,
      onProgress: ({ done }) => seen.push(done),
    });
    expect(two).toEqual(one);
    expect(two.problems.map(({ row }) => row)).toEqual([3, 40_000, 59_000]);
    expect(two).toMatchObject({
      zeroKeys: 59_997,
      zeroKeysAtEnd: 999,
      problemCounts: { 'key-not-finite': 3 },
    });
    expect(seen.at(-1)).toBe(shape.rows * 2008);
    const controller = new AbortController();
    const stopping = verifyDatastore(folder, {
      ...shape,
      threads: 2,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(stopping).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('checks a shape that is given beside a manifest', async () => {
    const folder = await make();
    await expect(verifyDatastore(folder, { dimension: 4 })).rejects.toMatchObject({
      code: 'DATASTORE_OPTION_MISMATCH',
    });
  });

  it.each(['fp16', 'fp32'] as const)('finds every kind of number that is none in %s', async (dtype) => {
    const ordinary =
      dtype === 'fp16' ? [0x7bff, 0x0001, 0x8001, 0xfbff] : [0x7f7fffff, 1, 0x80000001, 0xff7fffff];
    const wrong =
      dtype === 'fp16' ? [0x7c00, 0xfc00, 0x7c01, 0xffff] : [0x7f800000, 0xff800000, 0x7f800001, 0xffffffff];
    for (const dimension of [4, 5]) {
      const all = [...ordinary, ...wrong];
      const rows = all.length * dimension;
      const elements =
        dtype === 'fp16' ? new Uint16Array(rows * dimension) : new Uint32Array(rows * dimension);
      elements.fill(ordinary[0]);
      for (let row = 0; row < rows; row++)
        elements[row * dimension + (row % dimension)] = all[Math.floor(row / dimension)];
      const folder = await newFolder();
      await writeFile(join(folder, 'keys.npy'), elements);
      await writeFile(join(folder, 'values.npy'), new Uint8Array(rows * 8));
      const report = await verifyDatastore(folder, { rows, dimension, dtype });
      expect(report.problems.map(({ row }) => row)).toEqual(
        Array.from({ length: 4 * dimension }, (_, i) => 4 * dimension + i),
      );
    }
  });

  it('stops on a signal, and says when there is nothing to check', async () => {
    const folder = await make();
    await expect(verifyDatastore(folder, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    await expect(verifyDatastore(join(folder, 'none'))).rejects.toMatchObject({
      code: 'DATASTORE_NOT_FOUND',
    });
  });

  it.skipIf(fixturesFolder === undefined)('finds nothing wrong with the golden one', async () => {
    const shape = { rows: 20238, dimension: 256, dtype: 'fp16' } as const;
    const report = await verifyDatastore(fixture('pipeline', 'datastore', 'main'), {
      ...shape,
      vocabularySize: 21856,
    });
    expect(report).toMatchObject({ ok: true, checkedRows: 20238 });
  });
});
