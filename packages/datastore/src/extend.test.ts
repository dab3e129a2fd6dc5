import { appendFile, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf, int64Of, keysF32, newFolder, valuesOf } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { readManifest } from './manifest.js';
import { verifyDatastore } from './verify.js';
import { DatastoreWriter } from './writer.js';

const dimension = 3;
const shape = { dimension, dtype: 'fp32', segmentRows: 8 } as const;
const meaning = { modelFingerprint: 'm', dictionaryFingerprint: 'd', moduleToCapture: 'layers[-1]' };
const train = { ...meaning, split: 'train', textFingerprint: 't' };
const valid = { ...meaning, split: 'valid', textFingerprint: 'v' };

/** Appends rows whose content is that of rows `first` on of the test's numbers. */
async function fill(writer: DatastoreWriter, first: number, until = writer.rows): Promise<void> {
  const count = until - writer.appendedRows;
  const start = first + writer.appendedRows;
  await writer.append(keysF32(start, count, dimension), valuesOf(start, count));
}

async function make(rows = 20): Promise<string> {
  const folder = await newFolder();
  const writer = await DatastoreWriter.create(folder, { ...shape, rows, identity: train });
  await fill(writer, 0);
  await writer.finish();
  await writer.close();
  return folder;
}

async function extend(folder: string, first: number, rows: number, identity: object = valid): Promise<void> {
  const writer = await DatastoreWriter.extend(folder, { ...shape, rows, identity: { ...identity } });
  await fill(writer, first);
  await writer.finish();
  await writer.close();
}

async function expectRows(folder: string, rows: number): Promise<void> {
  const datastore = await Datastore.open(folder);
  expect(datastore.rows).toBe(rows);
  expect(datastore.readKeys(0, rows)).toEqual(keysF32(0, rows, dimension));
  expect(datastore.readValues(0, rows)).toEqual(valuesOf(0, rows));
  datastore.close();
}

describe('appending a text', () => {
  it('gives the rows of both, and the manifest tells the texts and the earlier fingerprint', async () => {
    const folder = await make();
    const before = await Datastore.open(folder);
    await extend(folder, 20, 13);
    await extend(folder, 33, 5, { ...valid, split: 'test' });
    await expectRows(folder, 38);
    expect(await readFile(join(folder, 'keys.npy'))).toEqual(bytesOf(keysF32(0, 38, dimension)));
    expect(await readFile(join(folder, 'values.npy'))).toEqual(int64Of(valuesOf(0, 38)));
    const after = await Datastore.open(folder);
    expect(after.texts).toEqual([
      { firstRow: 0, rows: 20, identity: train },
      { firstRow: 20, rows: 13, identity: valid },
      { firstRow: 33, rows: 5, identity: { ...valid, split: 'test' } },
    ]);
    expect(after.manifest?.identity).toEqual(meaning);
    expect(after.fingerprint).not.toBe(before.fingerprint);
    expect(after.fingerprintOf(20)).toBe(before.fingerprint);
    expect(after.fingerprintOf(38)).toBe(after.fingerprint);
    expect(after.fingerprintOf(21)).toBeUndefined();
    expect(await verifyDatastore(folder)).toMatchObject({ ok: true, checkedRows: 38, rows: 38 });
    expect((await after.quickVerify({ vocabularySize: 38 })).ok).toBe(true);
    expect((await after.quickVerify({ vocabularySize: 37 })).problems[0]).toMatchObject({
      kind: 'value-out-of-range',
      row: 37,
    });
  });

  it('does not touch the old rows or show the new ones before it is finished, however it is cut into runs', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 24 }), { maxLength: 4 }), async (stops) => {
        const folder = await make();
        const options = { ...shape, rows: 25, identity: valid };
        for (const stop of stops) {
          const writer = await DatastoreWriter.extend(folder, options);
          if (stop > writer.committedRows) await fill(writer, 20, stop);
          await writer.close();
          // What a run that was killed leaves beyond its last commit.
          await appendFile(join(folder, 'keys.npy'), 'rest');
          await expectRows(folder, 20);
          const report = await verifyDatastore(folder);
          expect(report.problems.map(({ kind }) => kind)).toEqual(['unfinished']);
          expect(report.problems[0].message).toMatch(/rows before it are not concerned/);
        }
        await extend(folder, 20, 25);
        await expectRows(folder, 45);
        const straight = await make();
        await extend(straight, 20, 25);
        expect(await readFile(join(folder, 'datastore.msgpack'))).toEqual(
          await readFile(join(straight, 'datastore.msgpack')),
        );
      }),
      { numRuns: 15 },
    );
  });

  it('keeps and reports what is there already, also to the command that began the datastore', async () => {
    const folder = await make();
    await extend(folder, 20, 13);
    for (const again of [
      () => DatastoreWriter.extend(folder, { ...shape, rows: 13, identity: valid }),
      () => DatastoreWriter.extend(folder, { ...shape, rows: 20, identity: train }),
      () => DatastoreWriter.create(folder, { ...shape, rows: 20, identity: train }),
    ])
      await expect(again()).rejects.toMatchObject({ code: 'DATASTORE_ALREADY_FINISHED' });
    await expect(
      DatastoreWriter.create(folder, { ...shape, rows: 21, identity: train }),
    ).rejects.toMatchObject({ code: 'DATASTORE_MISMATCH' });
  });

  it('refuses another model, another text half-way, and what nothing can be appended to', async () => {
    const refused = async (folder: string, change: object, code: string, message?: RegExp) => {
      const options = { ...shape, rows: 5, identity: valid, ...change };
      const error = await DatastoreWriter.extend(folder, options).then(
        () => expect.fail('it was not refused'),
        (cause: Error) => cause,
      );
      expect(error).toMatchObject({ name: 'DatastoreError', code });
      if (message !== undefined) expect(error.message).toMatch(message);
    };
    const folder = await make();
    const other = { identity: { ...valid, modelFingerprint: 'other' } };
    await refused(folder, other, 'DATASTORE_MISMATCH', /modelFingerprint: "m" on disk, "other" now/);
    await refused(folder, { dimension: 4 }, 'DATASTORE_MISMATCH', /dimension: 3 on disk, 4 now/);
    const begun = await DatastoreWriter.extend(folder, { ...shape, rows: 9, identity: valid });
    await fill(begun, 20, 4);
    await refused(folder, {}, 'DATASTORE_LOCKED');
    await begun.close();
    await refused(
      folder,
      {},
      'DATASTORE_MISMATCH',
      /another text is being appended .*4 of 9 rows.*rows: 9 on disk, 5 now/,
    );
    await refused(await newFolder(), {}, 'DATASTORE_NOT_FOUND');
    const python = await newFolder();
    await writeFile(join(python, 'keys.npy'), '');
    await refused(python, {}, 'DATASTORE_UNMANAGED');
    const unfinished = await newFolder();
    await (await DatastoreWriter.create(unfinished, { ...shape, rows: 9, identity: train })).close();
    await refused(unfinished, {}, 'DATASTORE_UNFINISHED');
    const weighed = await make();
    await writeFile(join(weighed, 'weight.npy'), new Float32Array(20));
    await refused(weighed, {}, 'DATASTORE_NOT_APPENDABLE', /its entries have weights/);
    const cut = await make();
    await truncate(join(cut, 'values.npy'), 100);
    await refused(cut, {}, 'DATASTORE_DAMAGED', /100 bytes, not 160/);
    const long = await make();
    await appendFile(join(long, 'keys.npy'), 'x');
    await refused(long, {}, 'DATASTORE_DAMAGED');
  });

  it('finds a damaged bit in the old and in the new rows', async () => {
    const folder = await make();
    await extend(folder, 20, 13);
    for (const row of [3, 25]) {
      const bytes = await readFile(join(folder, 'keys.npy'));
      bytes[row * dimension * 4] ^= 1;
      await writeFile(join(folder, 'keys.npy'), bytes);
      const report = await verifyDatastore(folder);
      bytes[row * dimension * 4] ^= 1;
      await writeFile(join(folder, 'keys.npy'), bytes);
      expect(report.problems).toEqual([
        expect.objectContaining({ kind: 'checksum', row: row < 20 ? 0 : 20 }),
      ]);
    }
  });

  it('says of what the manifest tells', async () => {
    const folder = await make();
    const begun = await DatastoreWriter.extend(folder, { ...shape, rows: 9, identity: valid });
    expect([begun.rows, begun.committedRows, begun.appendedRows]).toEqual([9, 0, 0]);
    await fill(begun, 20, 8);
    await begun.commit();
    expect(await readManifest(folder)).toMatchObject({
      version: 2,
      finished: true,
      rows: 20,
      appending: { rows: 9, committedRows: 8, identity: valid },
    });
    await begun.close();
  });
});
