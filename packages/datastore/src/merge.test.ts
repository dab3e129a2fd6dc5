import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keysOf, newFolder, valuesOf } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import type { DatastoreIdentity } from './identity.js';
import { readManifest } from './manifest.js';
import { mergeDatastores } from './merge.js';
import { DatastoreWriter } from './writer.js';

interface Part {
  readonly first: number;
  readonly rows: number;
  readonly identity?: DatastoreIdentity;
  readonly dtype?: 'fp16' | 'fp32';
  readonly dimension?: number;
}

async function make({ first, rows, identity = {}, dtype = 'fp16', dimension = 3 }: Part): Promise<string> {
  const folder = await newFolder();
  const writer = await DatastoreWriter.create(folder, { rows, dimension, dtype, identity });
  await writer.append(keysOf(first, rows, dimension, dtype), valuesOf(first, rows));
  await writer.finish();
  await writer.close();
  return folder;
}

async function open(...parts: Part[]): Promise<Datastore[]> {
  return Promise.all(parts.map(async (part) => Datastore.open(await make(part))));
}

const digests = (folder: string) =>
  Promise.all(
    ['keys.npy', 'values.npy', 'datastore.msgpack'].map(async (name) =>
      createHash('sha256')
        .update(await readFile(join(folder, name)))
        .digest('hex'),
    ),
  );

const identity = { modelFingerprint: 'm', dictionaryFingerprint: 'd', textFingerprint: 't' };
const shard = (shardId: number, numShards = 3) => ({ ...identity, numShards, shardId });

describe('mergeDatastores', () => {
  it('joins shards to the bytes of the whole, manifest included', async () => {
    const whole = await make({ first: 0, rows: 30, identity });
    const sources = await open(
      { first: 0, rows: 7, identity: shard(0) },
      { first: 7, rows: 1, identity: shard(1) },
      { first: 8, rows: 22, identity: shard(2) },
    );
    const folder = await newFolder();
    expect(await mergeDatastores(sources, folder)).toEqual({ rows: 30, rowsResumed: 0 });
    expect(await digests(folder)).toEqual(await digests(whole));
  });

  it('goes on after a stop, to the same bytes', async () => {
    // 1,800 rows of 8 KB: several pieces of 4 MiB from each source.
    const parts = [0, 1, 2].map((i) => ({ first: 600 * i, rows: 600, dimension: 4096 }));
    const sources = await open(...parts);
    const [straight, stopped] = [await newFolder(), await newFolder()];
    await mergeDatastores(sources, straight);
    for (let stops = 0; stops < 3; stops++) {
      const controller = new AbortController();
      const stopping = mergeDatastores(sources, stopped, {
        signal: controller.signal,
        onProgress: () => controller.abort(),
      });
      await expect(stopping).rejects.toMatchObject({ code: 'CANCELLED' });
    }
    const { rowsResumed } = await mergeDatastores(sources, stopped);
    expect(rowsResumed).toBeGreaterThan(600);
    expect(await digests(stopped)).toEqual(await digests(straight));
  });

  it('keeps what all sources say, and tells merges of other content apart', async () => {
    const parts: Part[] = [
      { first: 0, rows: 4, identity: { ...identity, split: 'train' } },
      { first: 9, rows: 4, identity: { ...identity, split: 'valid' } },
    ];
    const [a, b] = [await newFolder(), await newFolder()];
    const sources = await open(...parts);
    await mergeDatastores(sources, a);
    await mergeDatastores([...sources].reverse(), b);
    const [first, second] = [await readManifest(a), await readManifest(b)];
    expect(first?.identity).toMatchObject(identity);
    expect(first?.identity.split).toBeUndefined();
    expect(first?.identity['mergedFrom']).toMatch(/^[0-9a-f]{64}$/);
    expect(first?.identity['mergedFrom']).not.toBe(second?.identity['mergedFrom']);
    await expect(mergeDatastores([...sources].reverse(), a)).rejects.toMatchObject({
      code: 'DATASTORE_MISMATCH',
    });
  });

  it.each([
    ['model', [identity, { ...identity, modelFingerprint: 'other' }], 'DATASTORE_MERGE_MISMATCH'],
    ['module', [identity, { ...identity, moduleToCapture: 'x' }], 'DATASTORE_MERGE_MISMATCH'],
    ['a missing shard', [shard(0), shard(2)], 'DATASTORE_MERGE_SHARDS'],
    ['another order', [shard(1, 2), shard(0, 2)], 'DATASTORE_MERGE_SHARDS'],
    ['a shard and a whole', [shard(0, 2), identity], 'DATASTORE_MERGE_SHARDS'],
    [
      'shards of two texts',
      [shard(0, 2), { ...shard(1, 2), textFingerprint: 'other' }],
      'DATASTORE_MERGE_SHARDS',
    ],
  ])('refuses %s unless forced', async (_, identities, code) => {
    const sources = await open(...identities.map((each, i) => ({ first: i, rows: 2, identity: each })));
    const folder = await newFolder();
    await expect(mergeDatastores(sources, folder)).rejects.toMatchObject({ code });
    expect(await mergeDatastores(sources, folder, { force: true })).toMatchObject({ rows: 4 });
  });

  it('converts precisions; what overflows fp16 is refused', async () => {
    const sources = await open({ first: 0, rows: 5, dtype: 'fp32' }, { first: 5, rows: 5 });
    const folder = await newFolder();
    await mergeDatastores(sources, folder, { dtype: 'fp32' });
    const merged = await Datastore.open(folder);
    const expected = [...keysOf(0, 5, 3, 'fp32'), ...sources[1].readKeys(0, 5)];
    expect([...merged.readKeys(0, 10)]).toEqual(expected);
    const large = await newFolder();
    const writer = await DatastoreWriter.create(large, {
      rows: 1,
      dimension: 3,
      dtype: 'fp32',
      identity: {},
    });
    await writer.append(Float32Array.of(1, 65520, 1), Int32Array.of(1));
    await writer.finish();
    await writer.close();
    await expect(mergeDatastores([await Datastore.open(large)], await newFolder())).rejects.toMatchObject({
      code: 'DATASTORE_KEY_NOT_FINITE',
    });
  });

  it('refuses different dimensions, no source, and its own folder', async () => {
    const [a, b] = await open({ first: 0, rows: 2 }, { first: 0, rows: 2, dimension: 4 });
    const folder = await newFolder();
    await expect(mergeDatastores([a, b], folder)).rejects.toMatchObject({ code: 'DATASTORE_MERGE_MISMATCH' });
    await expect(mergeDatastores([], folder)).rejects.toMatchObject({ code: 'DATASTORE_BAD_ARGUMENT' });
    await expect(mergeDatastores([a], a.folder, { overwrite: true })).rejects.toMatchObject({
      code: 'DATASTORE_SAME_FOLDER',
    });
  });
});
