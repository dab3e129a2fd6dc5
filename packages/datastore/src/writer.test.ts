import { copyFile, mkdir, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bytesOf, int64Of, keysOf, newFolder, valuesOf } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { readManifest } from './manifest.js';
import { verifyDatastore } from './verify.js';
import { DatastoreWriter, type DatastoreWriterOptions } from './writer.js';

const identity = { split: 'train', modelFingerprint: 'abc', contextWindow: 192 };
const plan: DatastoreWriterOptions = { rows: 40, dimension: 3, dtype: 'fp16', identity, segmentRows: 8 };
const keys = (start: number, count: number): Uint16Array => keysOf(start, count, 3, 'fp16') as Uint16Array;

async function write(folder: string, rows: number, options = plan): Promise<void> {
  const writer = await DatastoreWriter.create(folder, options);
  const start = writer.committedRows;
  await writer.append(keys(start, rows), valuesOf(start, rows));
  if (start + rows === options.rows) await writer.finish();
  await writer.close();
}

async function expectError(promise: Promise<unknown>, code: string, message?: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: 'DatastoreError', code });
  if (message !== undefined) expect((error as Error).message).toMatch(message);
  expect((error as { hint?: string }).hint).toBeTruthy();
}

describe('DatastoreWriter', () => {
  it('writes the same bytes whatever the batches and interruptions', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('fp16' as const, 'fp32' as const),
        fc.integer({ min: 1, max: 60 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 9 }),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 12 }), fc.constantFrom('go on', 'commit', 'reopen')), {
          maxLength: 12,
        }),
        async (dtype, rows, dimension, segmentRows, steps) => {
          const folder = await newFolder();
          const options = { rows, dimension, dtype, identity, segmentRows };
          let writer = await DatastoreWriter.create(folder, options);
          let row = 0;
          for (const [wanted, next] of [...steps, [rows, 'commit'] as const]) {
            const count = Math.min(wanted, rows - row);
            await writer.append(keysOf(row, count, dimension, dtype), valuesOf(row, count));
            row += count;
            expect(writer.appendedRows).toBe(row);
            if (next === 'commit') await writer.commit();
            if (next === 'reopen') {
              await writer.close();
              writer = await DatastoreWriter.create(folder, options);
            }
            if (next !== 'go on') expect(writer.committedRows).toBe(row);
          }
          await writer.finish();
          await writer.close();
          expect(await readFile(join(folder, 'keys.npy'))).toEqual(
            bytesOf(keysOf(0, rows, dimension, dtype)),
          );
          expect(await readFile(join(folder, 'values.npy'))).toEqual(int64Of(valuesOf(0, rows)));
          expect(await readManifest(folder)).toMatchObject({
            rows,
            committedRows: rows,
            finished: true,
            identity,
          });
          expect((await verifyDatastore(folder)).ok).toBe(true);
          expect((await readdir(folder)).sort()).toEqual(['datastore.msgpack', 'keys.npy', 'values.npy']);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('takes calls that do not wait for each other, in their order', async () => {
    const folder = await newFolder();
    const writer = await DatastoreWriter.create(folder, plan);
    const calls = [];
    for (let row = 0; row < 40; row += 5) calls.push(writer.append(keys(row, 5), valuesOf(row, 5)));
    calls.push(writer.finish());
    await Promise.all(calls);
    await writer.close();
    expect(await readFile(join(folder, 'keys.npy'))).toEqual(bytesOf(keys(0, 40)));
  });

  it('cuts off rows that were not committed', async () => {
    const folder = await newFolder();
    await write(folder, 20);
    for (const name of ['keys.npy', 'values.npy'])
      await writeFile(join(folder, name), 'the rest of a write that was cut short', { flag: 'a' });
    await write(folder, 20);
    expect((await verifyDatastore(folder)).ok).toBe(true);
  });

  it('keeps a finished datastore and reports it', async () => {
    const folder = await newFolder();
    await write(folder, 40);
    const before = await readFile(join(folder, 'datastore.msgpack'));
    await expectError(
      DatastoreWriter.create(folder, plan),
      'DATASTORE_ALREADY_FINISHED',
      /40 keys of 3 fp16; it is kept/,
    );
    expect(await readFile(join(folder, 'datastore.msgpack'))).toEqual(before);
    await Datastore.open(folder).then((datastore) => datastore.close());
  });

  it('shows both sides when the datastore there was made from something else', async () => {
    const folder = await newFolder();
    await write(folder, 20);
    const other = { ...plan, rows: 41, identity: { ...identity, contextWindow: 0, breakMode: 'none' } };
    await expectError(
      DatastoreWriter.create(folder, other),
      'DATASTORE_MISMATCH',
      /unfinished \(20 of 40 rows\).*: rows: 40 on disk, 41 now; contextWindow: 192 on disk, 0 now; breakMode: \(not given\) on disk, "none" now/,
    );
    await expectError(
      DatastoreWriter.create(folder, { ...plan, dtype: 'fp32' }),
      'DATASTORE_MISMATCH',
      /dtype/,
    );
    await expectError(
      DatastoreWriter.create(folder, { ...plan, dimension: 4 }),
      'DATASTORE_MISMATCH',
      /dimension/,
    );
    await write(folder, 20, { ...plan, identity: { ...identity, breakMode: undefined } });
  });

  it('does not touch arrays that another program made', async () => {
    const folder = await newFolder();
    await writeFile(join(folder, 'values.npy'), 'made by someone');
    await expectError(
      DatastoreWriter.create(folder, plan),
      'DATASTORE_UNMANAGED',
      /values\.npy exists without/,
    );
    expect(await readFile(join(folder, 'values.npy'), 'utf8')).toBe('made by someone');
    expect(await readdir(folder)).toEqual(['values.npy']);
  });

  it('with overwrite keeps the old datastore until the new one is complete', async () => {
    const folder = await newFolder();
    await write(folder, 40);
    const other = { ...plan, rows: 24, identity: { split: 'valid' }, overwrite: true };
    await write(folder, 10, other);
    const old = await Datastore.open(folder);
    expect(old.rows).toBe(40);
    await write(folder, 14, other); // resumes the replacement
    expect(await readManifest(folder)).toMatchObject({
      rows: 24,
      finished: true,
      identity: { split: 'valid' },
    });
    expect((await verifyDatastore(folder)).ok).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(['datastore.msgpack', 'keys.npy', 'values.npy']);
    expect(old.readValues(0, 40)).toEqual(valuesOf(0, 40)); // it is open still, and still the old one
    old.close();
  });

  it('with overwrite replaces arrays of another program, a damaged manifest, and damaged arrays', async () => {
    const damages: ((folder: string) => Promise<unknown>)[] = [
      (folder) => rm(join(folder, 'datastore.msgpack')),
      (folder) => writeFile(join(folder, 'datastore.msgpack'), 'not a manifest'),
      (folder) => truncate(join(folder, 'keys.npy'), 5),
    ];
    for (const damage of damages) {
      const folder = await newFolder();
      await write(folder, 30);
      await damage(folder);
      await expect(DatastoreWriter.create(folder, plan)).rejects.toMatchObject({ name: 'DatastoreError' });
      await write(folder, 40, { ...plan, overwrite: true });
      expect((await verifyDatastore(folder)).ok).toBe(true);
    }
  });

  it('with overwrite still resumes what the same command has begun', async () => {
    const folder = await newFolder();
    await write(folder, 10, { ...plan, overwrite: true });
    const writer = await DatastoreWriter.create(folder, { ...plan, overwrite: true });
    expect(writer.committedRows).toBe(10);
    await writer.close();
  });

  it('does not resume from damaged arrays', async () => {
    const damages: [string, (path: string) => Promise<unknown>, RegExp][] = [
      ['keys.npy', (path) => truncate(path, 100), /keys\.npy .* has 100 bytes, but 120 bytes were committed/],
      ['values.npy', (path) => rm(path), /values\.npy .* is gone, but 160 bytes/],
      ['keys.npy', (path) => flip(path, 100), /keys\.npy .*rows 16 to 19 do not have the checksum/],
      ['values.npy', (path) => flip(path, 130), /values\.npy .*rows 16 to 19 do not have the checksum/],
    ];
    for (const [name, damage, message] of damages) {
      const folder = await newFolder();
      await write(folder, 20);
      await damage(join(folder, name));
      await expectError(DatastoreWriter.create(folder, plan), 'DATASTORE_DAMAGED', message);
      expect(existsSync(join(folder, 'datastore.lock'))).toBe(false);
    }
  });

  it('refuses a second writer, in this process and in others', async () => {
    const folder = await newFolder();
    const writer = await DatastoreWriter.create(folder, plan);
    await expectError(DatastoreWriter.create(folder, plan), 'DATASTORE_LOCKED');
    await writer.close();
    await (await DatastoreWriter.create(folder, plan)).close();
  });

  it('stops when its lock was taken over', async () => {
    const folder = await newFolder();
    const writer = await DatastoreWriter.create(folder, plan);
    await writer.append(keys(0, 2), valuesOf(0, 2));
    await writeFile(join(folder, 'datastore.lock'), 'another process');
    await expectError(writer.commit(), 'DATASTORE_LOCK_LOST');
    await expectError(writer.append(keys(2, 2), valuesOf(2, 2)), 'DATASTORE_LOCK_LOST');
    await writer.close();
    expect((await readManifest(folder))?.committedRows).toBe(0);
  });

  it('checks rows before it writes any, and goes on', async () => {
    const folder = await newFolder();
    const writer = await DatastoreWriter.create(folder, plan);
    await writer.append(keys(0, 30), valuesOf(0, 30));
    const bad = keys(30, 2);
    bad[4] = 0x7c00;
    await expectError(
      writer.append(bad, valuesOf(30, 2)),
      'DATASTORE_KEY_NOT_FINITE',
      /row 31 .*overflowed fp16/,
    );
    bad[4] = 0x7e01;
    await expectError(writer.append(bad, valuesOf(30, 2)), 'DATASTORE_KEY_NOT_FINITE', /row 31 .*element 1/);
    await expectError(
      writer.append(keys(30, 2), new Int32Array([1, -1])),
      'DATASTORE_BAD_VALUE',
      /row 31 is -1/,
    );
    await expectError(
      writer.append(keys(30, 2), valuesOf(30, 3)),
      'DATASTORE_BAD_KEYS',
      /6 elements; .* take 9/,
    );
    await expectError(
      writer.append(new Float32Array(3), valuesOf(30, 1)),
      'DATASTORE_BAD_KEYS',
      /Float32Array/,
    );
    await expectError(writer.append(keys(30, 11), valuesOf(30, 11)), 'DATASTORE_TOO_MANY_ROWS');
    await expectError(writer.finish(), 'DATASTORE_INCOMPLETE', /has 30 rows, but 40 were planned/);
    await writer.append(keys(30, 10), valuesOf(30, 10));
    await writer.finish();
    await expectError(writer.append(keys(0, 1), valuesOf(0, 1)), 'DATASTORE_WRITER_CLOSED');
    await writer.close();
    await writer.close();
    expect((await verifyDatastore(folder)).ok).toBe(true);
  });

  it('names fp32 keys that are not finite', async () => {
    const writer = await DatastoreWriter.create(await newFolder(), { ...plan, dtype: 'fp32' });
    for (const wrong of [NaN, Infinity, -Infinity]) {
      const bad = new Float32Array([1, 2, 3, 4, 5, wrong]);
      await expectError(writer.append(bad, valuesOf(0, 2)), 'DATASTORE_KEY_NOT_FINITE', /row 1 .*element 2/);
    }
    await writer.close();
  });

  it('refuses shapes and identities that make no sense', async () => {
    const folder = join(await newFolder(), 'not made');
    const wrong: Partial<Record<keyof DatastoreWriterOptions, unknown>>[] = [
      { rows: 0 },
      { rows: 1.5 },
      { rows: 2 ** 53 },
      { rows: 2 ** 52, dimension: 1024 },
      { dimension: 0 },
      { dimension: 2 ** 21 },
      { dtype: 'float16' },
      { segmentRows: 0 },
    ];
    for (const change of wrong)
      await expectError(
        DatastoreWriter.create(folder, { ...plan, ...change } as DatastoreWriterOptions),
        'DATASTORE_BAD_SHAPE',
      );
    for (const bad of [{ tokensPerSample: NaN }, { rows: 3 }])
      await expectError(DatastoreWriter.create(folder, { ...plan, identity: bad }), 'DATASTORE_BAD_IDENTITY');
    expect(existsSync(folder)).toBe(false);
  });

  it('stops on a signal and keeps what was appended', async () => {
    const folder = await newFolder();
    const controller = new AbortController();
    const seen: number[] = [];
    const writer = await DatastoreWriter.create(folder, {
      ...plan,
      signal: controller.signal,
      onProgress: ({ done, total }) => seen.push(done, total!),
    });
    await writer.append(keys(0, 3), valuesOf(0, 3));
    controller.abort();
    await expect(writer.append(keys(3, 3), valuesOf(3, 3))).rejects.toMatchObject({ code: 'CANCELLED' });
    await writer.close();
    expect((await readManifest(folder))?.committedRows).toBe(3);
    expect(seen).toEqual([3, 40]);
    await expect(
      DatastoreWriter.create(folder, { ...plan, signal: controller.signal }),
    ).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  it('says what it does, and warns where the disk is too small', async () => {
    const folder = await newFolder();
    const heard: string[] = [];
    const logger = { info: (m: string) => heard.push(m), warn: (m: string) => heard.push(`warning: ${m}`) };
    await write(folder, 20);
    await (await DatastoreWriter.create(folder, { ...plan, logger })).close();
    expect(heard).toEqual([`${folder}: resuming after 20 of 40 rows`]);
    heard.length = 0;
    const huge = { ...plan, rows: 2 ** 40, segmentRows: undefined, logger };
    await (await DatastoreWriter.create(join(folder, 'huge'), huge)).close();
    expect(heard.join()).toMatch(/warning: .* GB are to be written, but only .* GB are free/);
    await mkdir(join(folder, 'copy'));
    await copyFile(join(folder, 'keys.npy'), join(folder, 'copy', 'keys.npy'));
    heard.length = 0;
    await (await DatastoreWriter.create(join(folder, 'copy'), { ...plan, overwrite: true, logger })).close();
    expect(heard.join()).toMatch(/is kept until the one that replaces it is complete/);
  });
});

async function flip(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at] ^= 1;
  await writeFile(path, bytes);
}
