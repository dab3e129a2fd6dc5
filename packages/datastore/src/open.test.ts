import { mkdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { int64Of, keysOf, newFolder, valuesOf } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { encodeManifest, readManifest } from './manifest.js';
import { DatastoreWriter } from './writer.js';

const shape = { rows: 10, dimension: 4, dtype: 'fp16' } as const;
const keys = Buffer.from(keysOf(0, 10, 4, 'fp16').buffer);
const values = int64Of(valuesOf(0, 10));

async function make(rows = 10): Promise<string> {
  const folder = await newFolder();
  const writer = await DatastoreWriter.create(folder, { ...shape, identity: {} });
  await writer.append(keysOf(0, rows, 4, 'fp16'), valuesOf(0, rows));
  if (rows === 10) await writer.finish();
  await writer.close();
  return folder;
}

async function makePython(): Promise<string> {
  const folder = await newFolder();
  await writeFile(join(folder, 'keys.npy'), keys);
  await writeFile(join(folder, 'values.npy'), values);
  return folder;
}

async function failure(
  folder: string,
  options = {},
): Promise<{ code: string; message: string; hint: string }> {
  return Datastore.open(folder, options).then(
    () => expect.fail('it was opened'),
    (error: unknown) => {
      expect(error).toMatchObject({ name: 'DatastoreError' });
      return error as { code: string; message: string; hint: string };
    },
  );
}

describe('Datastore.open with a manifest', () => {
  let folder: string;
  beforeAll(async () => (folder = await make()));

  it('needs no options and checks those given', async () => {
    const datastore = await Datastore.open(folder);
    expect(datastore).toMatchObject({ ...shape, folder, hasKeys: true });
    expect(datastore.manifest?.finished).toBe(true);
    expect(datastore.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    datastore.close();
    (await Datastore.open(folder, shape)).close();
    for (const [field, value, flag] of [
      ['rows', 11, '--datastore-size'],
      ['dimension', 8, '--keys-dimension'],
      ['dtype', 'fp32', '--keys-dtype'],
    ] as const) {
      const error = await failure(folder, { [field]: value });
      expect(error.code).toBe('DATASTORE_OPTION_MISMATCH');
      expect(error.message).toContain(
        `datastore.msgpack: ${field} is ${shape[field]} in the datastore, but ${value}`,
      );
      expect(error.hint).toContain(flag);
    }
  });

  it('says how far an unfinished one is', async () => {
    const error = await failure(await make(7));
    expect(error).toMatchObject({ code: 'DATASTORE_UNFINISHED' });
    expect(error.message).toMatch(/7 of 10 rows are there/);
    expect(error.hint).toMatch(/once more: it resumes/);
  });

  it('wants the sizes to be exact', async () => {
    for (const [name, size, message] of [
      ['keys.npy', 79, /keys\.npy has 79 bytes, not 80 \(10 keys of 4 fp16\): it holds 9\.88 keys of 4 fp16/],
      ['keys.npy', 88, /keys\.npy has 88 bytes, not 80/],
      ['values.npy', 72, /values\.npy has 72 bytes, not 80 \(10 int64 values\): it holds 9 int64 values/],
    ] as const) {
      const cut = await make();
      await truncate(join(cut, name), size);
      expect(await failure(cut)).toMatchObject({
        code: 'DATASTORE_SIZE_MISMATCH',
        message: expect.stringMatching(message) as string,
      });
    }
  });

  it('needs no keys where none are needed', async () => {
    const light = await make();
    await rm(join(light, 'keys.npy'));
    expect(await failure(light)).toMatchObject({ code: 'DATASTORE_NOT_FOUND' });
    for (const engine of ['native', 'portable'] as const) {
      const datastore = await Datastore.open(light, { needKeys: false, engine });
      expect(datastore.readValues(0, 10)).toEqual(valuesOf(0, 10));
      expect(() => datastore.readKeys(0, 1)).toThrow(expect.objectContaining({ code: 'DATASTORE_NO_KEYS' }));
      await expect(
        datastore.squaredDistances(new Float32Array(4), new Float64Array(1), 1),
      ).rejects.toMatchObject({ code: 'DATASTORE_NO_KEYS' });
      datastore.close();
    }
  });

  it('refuses one whose replacement was interrupted', async () => {
    const replaced = await make();
    const manifest = (await readManifest(replaced))!;
    await writeFile(
      join(replaced, 'datastore.msgpack'),
      encodeManifest({ ...manifest, finished: false, replacing: true }),
    );
    expect(await failure(replaced)).toMatchObject({ code: 'DATASTORE_REPLACING' });
  });
});

describe('Datastore.open without a manifest', () => {
  it('says which options are missing, and what the files hold', async () => {
    const folder = await makePython();
    const error = await failure(folder, { dimension: 4 });
    expect(error).toMatchObject({ code: 'DATASTORE_OPTIONS_NEEDED' });
    expect(error.message).toMatch(/has no manifest \(datastore\.msgpack\), and rows, dtype are not given/);
    expect(error.hint).toMatch(/--datastore-size, --keys-dtype .* holds 10 values/);
    (await Datastore.open(folder, shape)).close();
  });

  it('refuses files that are too small, and says what would fit', async () => {
    const folder = await makePython();
    expect((await failure(folder, { ...shape, dtype: 'fp32' })).message).toMatch(
      /keys\.npy has 80 bytes, not 160 \(10 keys of 4 fp32\): it holds 5 keys of 4 fp32 \(or 10 keys of 4 fp16, or 10 keys of 2 fp32\)/,
    );
    expect((await failure(folder, { ...shape, rows: 11 })).message).toMatch(/it holds 10 keys of 4 fp16/);
    expect((await failure(folder, { ...shape, dimension: -1 })).code).toBe('DATASTORE_BAD_SHAPE');
  });

  it('accepts larger files as NumPy does, and says so', async () => {
    const folder = await makePython();
    const warnings: string[] = [];
    const logger = { info: () => undefined, warn: (message: string) => warnings.push(message) };
    const datastore = await Datastore.open(folder, { ...shape, rows: 8, logger });
    expect(datastore.readValues(0, 8)).toEqual(valuesOf(0, 8));
    expect(() => datastore.readValues(8, 1)).toThrow(/has 8/);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toMatch(
      /keys\.npy holds 10 keys of 4 fp16 .*only the first 8 keys of 4 fp16 are used/,
    );
    datastore.close();
  });

  it('warns of zero keys at the end, which a Python run that crashed leaves', async () => {
    const folder = await makePython();
    const bytes = await readFile(join(folder, 'keys.npy'));
    await writeFile(join(folder, 'keys.npy'), bytes.fill(0, 7 * 8));
    const warnings: string[] = [];
    const logger = { info: () => undefined, warn: (message: string) => warnings.push(message) };
    (await Datastore.open(folder, { ...shape, logger })).close();
    expect(warnings.join()).toMatch(/the last 3 keys are all zero/);
  });

  it('names what is missing', async () => {
    const folder = await newFolder();
    expect(await failure(folder, shape)).toMatchObject({
      code: 'DATASTORE_NOT_FOUND',
      message: expect.stringContaining(join(folder, 'keys.npy')) as string,
    });
    expect(await failure(folder)).toMatchObject({ code: 'DATASTORE_NOT_FOUND' });
    await mkdir(join(folder, 'keys.npy'));
    expect(await failure(folder, shape)).toMatchObject({
      message: expect.stringMatching(/not a regular file/) as string,
    });
  });
});
