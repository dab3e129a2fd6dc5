import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Datastore, DatastoreWriter, readManifest, verifyDatastore } from '../src/index.js';
import { runAppender, type AppenderTask } from './support/appender.js';
import { bytesOf, int64Of, keysF32, keysOf, newFolder, valuesOf } from './support/rows.js';

const rows = 30;
const dimension = 6;
const options = { rows, dimension, dtype: 'fp32', identity: { split: 'train' }, segmentRows: 8 } as const;

async function expectWhole(folder: string): Promise<void> {
  expect(await readFile(join(folder, 'keys.npy'))).toEqual(bytesOf(keysF32(0, rows, dimension)));
  expect(await readFile(join(folder, 'values.npy'))).toEqual(int64Of(valuesOf(0, rows)));
  expect((await verifyDatastore(folder)).ok).toBe(true);
}

/** Whatever the crash left: it is unfinished or absent, and what the manifest counts is there and right. */
async function expectHonest(folder: string): Promise<void> {
  const manifest = await readManifest(folder);
  if (manifest === undefined) return expect((await readdir(folder)).join()).not.toContain('keys.npy');
  if (manifest.finished) return expectWhole(folder);
  await expect(Datastore.open(folder)).rejects.toThrow(
    expect.objectContaining({ code: 'DATASTORE_UNFINISHED' }),
  );
  if (manifest.committedRows === 0) return;
  const keys = await readFile(join(folder, 'keys.npy'));
  const committed = bytesOf(keysF32(0, manifest.committedRows, dimension));
  expect(keys.subarray(0, committed.length)).toEqual(committed);
}

/** Goes on in this process, which is faster than another. */
async function resumeHere(folder: string, isFinished: boolean): Promise<void> {
  const writing = DatastoreWriter.create(folder, options);
  if (isFinished) return expect(writing).rejects.toMatchObject({ code: 'DATASTORE_ALREADY_FINISHED' });
  const writer = await writing;
  for (let row = writer.committedRows; row < rows; row += 5)
    await writer.append(
      keysOf(row, Math.min(5, rows - row), dimension, 'fp32'),
      valuesOf(row, Math.min(5, rows - row)),
    );
  await writer.finish();
  await writer.close();
}

// Some hundred processes are started here.
vi.setConfig({ testTimeout: 400_000 });

describe('a writer killed at every single file operation', () => {
  let wholeManifest: Buffer;
  let operations = 0;

  beforeAll(async () => {
    const folder = await newFolder();
    const result = await runAppender({ folder, options, batch: 5 });
    expect(result).toMatchObject({ signal: null, committedRows: rows });
    operations = result.operations!;
    wholeManifest = await readFile(join(folder, 'datastore.msgpack'));
    await expectWhole(folder);
  });

  it('resumes to the same bytes, manifest included', async () => {
    expect(operations).toBeGreaterThan(30);
    for (let at = 1; at <= operations; at++) {
      const folder = await newFolder();
      const task: AppenderTask = { folder, options, batch: 5 };
      const killed = await runAppender({ ...task, fault: 'kill', at });
      expect(killed.signal, `operation ${at}`).toBe('SIGKILL');
      await expectHonest(folder);
      const before = await readManifest(folder);
      await resumeHere(folder, before?.finished === true);
      await expectWhole(folder);
      expect(await readFile(join(folder, 'datastore.msgpack'))).toEqual(wholeManifest);
      expect((await readdir(folder)).filter((name) => name.includes('msgpack'))).toEqual([
        'datastore.msgpack',
      ]);
    }
  });
});

describe('a replacement killed at every operation of its end', () => {
  it('leaves the old datastore or the new one, never a mixture, weights included', async () => {
    const old = { ...options, rows: 20, identity: { split: 'valid' } };
    const task = { options: { ...options, overwrite: true }, batch: 25, weigh: true };
    const make = async (): Promise<string> => {
      const folder = await newFolder();
      const writer = await DatastoreWriter.create(folder, old);
      await writer.append(keysOf(100, 20, dimension, 'fp32'), valuesOf(100, 20));
      await writer.writeWeights([new Float32Array(20).fill(7)]);
      await writer.finish();
      await writer.close();
      return folder;
    };
    const whole = await make();
    const { operations } = await runAppender({ ...task, folder: whole });
    await expectWhole(whole);
    expect((await readdir(whole)).sort()).toEqual([
      'datastore.msgpack',
      'keys.npy',
      'values.npy',
      'weight.npy',
    ]);

    for (let at = operations! - 24; at <= operations!; at++) {
      const folder = await make();
      expect((await runAppender({ ...task, folder, fault: 'kill', at })).signal).toBe('SIGKILL');
      const manifest = await readManifest(folder);
      if (manifest?.replacing) {
        await expect(Datastore.open(folder)).rejects.toThrow(
          expect.objectContaining({ code: 'DATASTORE_REPLACING' }),
        );
        // Any writer ends the move, even one that wants nothing else.
        const { error } = await runAppender({ ...task, folder, options });
        expect(error?.code).toBe('DATASTORE_ALREADY_FINISHED');
        await expectWhole(folder);
        continue;
      }
      expect(manifest?.finished).toBe(true);
      expect(await verifyDatastore(folder)).toMatchObject({ ok: true, weights: { checksummed: true } });
      if (manifest!.rows === rows) continue;
      expect(manifest!.rows).toBe(20);
      expect((await runAppender({ ...task, folder })).error).toBeUndefined();
      await expectWhole(folder);
    }
  });
});

describe('appending a text, killed at every single file operation', () => {
  it('leaves the rows before it whole and readable, and resumes to the same bytes', async () => {
    const before = { ...options, rows: 20 };
    const more = { ...options, rows: 10, identity: { split: 'valid' } };
    const make = async (): Promise<string> => {
      const folder = await newFolder();
      const writer = await DatastoreWriter.create(folder, before);
      await writer.append(keysOf(0, 20, dimension, 'fp32'), valuesOf(0, 20));
      await writer.finish();
      await writer.close();
      return folder;
    };
    const whole = await make();
    const task = { options: more, batch: 3, first: 20 };
    const { operations } = await runAppender({ ...task, folder: whole });
    await expectWhole(whole);
    const manifest = await readFile(join(whole, 'datastore.msgpack'));
    expect(operations).toBeGreaterThan(20);
    for (let at = 1; at <= operations!; at++) {
      const folder = await make();
      const killed = await runAppender({ ...task, folder, fault: 'kill', at });
      expect(killed.signal, `operation ${at}`).toBe('SIGKILL');
      const datastore = await Datastore.open(folder);
      expect([20, rows]).toContain(datastore.rows);
      expect(datastore.readKeys(0, 20)).toEqual(keysF32(0, 20, dimension));
      datastore.close();
      const { problems } = await verifyDatastore(folder);
      expect(problems.filter(({ kind }) => kind !== 'unfinished')).toEqual([]);
      const writer = await DatastoreWriter.extend(folder, more).catch((error: { code: string }) => {
        expect(error.code).toBe('DATASTORE_ALREADY_FINISHED');
        expect(datastore.rows).toBe(rows);
      });
      const done = writer?.committedRows ?? 10;
      await writer?.append(keysOf(20 + done, 10 - done, dimension, 'fp32'), valuesOf(20 + done, 10 - done));
      await writer?.finish();
      await writer?.close();
      await expectWhole(folder);
      expect(await readFile(join(folder, 'datastore.msgpack'))).toEqual(manifest);
    }
  });
});

describe('a writer killed at random times', () => {
  it('is resumed until it is whole', async () => {
    const folder = await newFolder();
    const task: AppenderTask = { folder, options, batch: 1, pauseMs: 4 };
    let kills = 0;
    for (;;) {
      // The one before may have been killed between its last commit and its exit: then there is nothing left to do.
      const before = await readManifest(folder);
      const result = await runAppender(task, { killAfterMs: 120 + Math.random() * 150 });
      if (result.signal === null) {
        expect(result.error?.code).toBe(before?.finished ? 'DATASTORE_ALREADY_FINISHED' : undefined);
        break;
      }
      if (++kills === 40) break;
      await expectHonest(folder);
    }
    if (kills === 40) await runAppender({ ...task, pauseMs: 0 });
    await expectWhole(folder);
  });
});
