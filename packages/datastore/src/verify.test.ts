import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fixture, fixturesFolder } from '@knn-lm/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keysOf, newFolder, valuesOf } from '../test/support/rows.js';
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
