import { cp, mkdir, readFile, readdir, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keysF32, keysOf, newFolder, valuesOf } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { dedupDatastore } from './dedup.js';
import { linkDatastores, type LinkOptions } from './link.js';
import { mergeDatastores } from './merge.js';
import { ValueWeights } from './value-weights.js';
import { verifyDatastore } from './verify.js';
import { DatastoreWriter } from './writer.js';

const dimension = 3;
const text = { modelFingerprint: 'm', dictionaryFingerprint: 'd', moduleToCapture: 'x', split: 'train' };

async function make(folder: string, first: number, rows: number, identity: object = text): Promise<string> {
  const options = { rows, dimension, dtype: 'fp32', segmentRows: 4, identity: { ...identity } } as const;
  const writer = await DatastoreWriter.create(folder, options);
  await writer.append(keysF32(first, rows, dimension), valuesOf(first, rows));
  await writer.finish();
  await writer.close();
  return folder;
}

/** Shards of one datastore, beside each other. */
async function makeShards(sizes: readonly number[]): Promise<string[]> {
  const root = await newFolder();
  let first = 0;
  const folders: string[] = [];
  for (const [shardId, rows] of sizes.entries()) {
    const identity = { ...text, numShards: sizes.length, shardId };
    folders.push(await make(join(root, `shard-${shardId}`), first, rows, identity));
    first += rows;
  }
  return folders;
}

async function link(folders: readonly string[], folder: string, options: LinkOptions = {}): Promise<void> {
  const sources = await Promise.all(folders.map((source) => Datastore.open(source)));
  try {
    await linkDatastores(sources, folder, options);
  } finally {
    for (const source of sources) source.close();
  }
}

const failing = (call: Promise<unknown>, code: string) =>
  expect(call).rejects.toMatchObject({ name: 'DatastoreError', code });

describe.each(['native', 'portable'] as const)('a list of datastores, read by the %s engine', (engine) => {
  it('is read as one, whatever lies where', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
        fc.array(fc.nat(), { maxLength: 40 }),
        async (sizes, picks) => {
          const folders = await makeShards(sizes);
          const folder = join(folders[0], '..', 'whole');
          await link(folders, folder);
          const rows = sizes.reduce((a, b) => a + b, 0);
          const datastore = await Datastore.open(folder, { engine });
          expect([datastore.engine, datastore.rows, datastore.folders]).toEqual([engine, rows, folders]);
          const all = keysF32(0, rows, dimension);
          expect(datastore.readKeys(0, rows)).toEqual(all);
          expect(datastore.readStoredKeys(0, rows)).toEqual(all);
          expect(datastore.readValues(0, rows)).toEqual(valuesOf(0, rows));
          const start = (picks[0] ?? 0) % rows;
          expect(datastore.readKeys(start, rows - start)).toEqual(all.slice(start * dimension));
          const ids = Float64Array.from(picks, (pick) => (pick % (rows + 1)) - 1);
          const single = await Datastore.open(await make(await newFolder(), 0, rows), { engine: 'portable' });
          expect(datastore.gatherValues(ids)).toEqual(single.gatherValues(ids));
          expect(datastore.gatherKeys(ids)).toEqual(single.gatherKeys(ids));
          const queries = keysF32(90, ids.length, dimension);
          const expected = await single.squaredDistances(queries, ids, 1);
          for (const access of ['mapped', 'read'] as const)
            expect(await datastore.squaredDistances(queries, ids, 1, undefined, { access })).toEqual(
              expected,
            );
          let moved = 0;
          await datastore.moveToMemory({ onProgress: ({ done }) => (moved = done) });
          expect(moved).toBe(rows * dimension * 4);
          expect(await datastore.squaredDistances(queries, ids, 1)).toEqual(expected);
          expect((await verifyDatastore(folder)).ok).toBe(true);
          expect((await datastore.quickVerify()).ok).toBe(true);
          datastore.close();
          single.close();
        },
      ),
      { numRuns: 12 },
    );
  });

  it('needs few open files for many parts', async () => {
    const folders = await makeShards(Array.from({ length: 150 }, () => 1));
    const folder = await newFolder();
    await link(folders, folder);
    const before = (await readdir('/proc/self/fd')).length;
    const datastore = await Datastore.open(folder, { engine });
    expect(datastore.readKeys(0, 150)).toEqual(keysF32(0, 150, dimension));
    expect(datastore.readStoredKeys(0, 150)).toEqual(keysF32(0, 150, dimension));
    const ids = Float64Array.from({ length: 150 }, (_, i) => (i * 7) % 150);
    expect(datastore.gatherValues(ids)).toEqual(Int32Array.from(ids));
    expect((await datastore.squaredDistances(keysF32(7, 1, dimension), ids, 150))[1]).toBe(0);
    expect((await readdir('/proc/self/fd')).length - before).toBeLessThanOrEqual(150);
    datastore.close();
    expect((await readdir('/proc/self/fd')).length).toBe(before);
  });
});

describe('a list of datastores', () => {
  it('takes no room, has the identity of the whole, and merges to the bytes of a single run', async () => {
    const folders = await makeShards([5, 7, 3]);
    const folder = await newFolder();
    await link(folders, folder);
    expect(await readdir(folder)).toEqual(['datastore.msgpack']);
    const list = await Datastore.open(folder);
    expect(list.manifest?.identity).toEqual(text);
    const [copy, single] = [await newFolder(), await make(await newFolder(), 0, 15)];
    await mergeDatastores([list], copy, { dtype: 'fp32' });
    for (const name of ['keys.npy', 'values.npy'])
      expect(await readFile(join(copy, name))).toEqual(await readFile(join(single, name)));
    const deduped = await dedupDatastore(list, await newFolder());
    expect([deduped.rows, deduped.dropped]).toEqual([15, 0]);
    list.close();
  });

  it('is recognised by the first of its parts when others come behind them', async () => {
    const folders = await makeShards([5, 7, 3]);
    const lists = await Promise.all([1, 2, 3].map(() => newFolder()));
    for (const [i, folder] of lists.entries()) await link(folders.slice(0, i + 1), folder, { force: true });
    const [one, two, three] = await Promise.all(lists.map((folder) => Datastore.open(folder)));
    const shard = await Datastore.open(folders[0]);
    expect(one.fingerprint).toBe(shard.fingerprint);
    expect(two.fingerprintOf(5)).toBe(one.fingerprint);
    expect(three.fingerprintOf(12)).toBe(two.fingerprint);
    expect(three.fingerprintOf(6)).toBeUndefined();
    // A list of lists is a list of their parts.
    const nested = await newFolder();
    await linkDatastores([two, await Datastore.open(folders[2])], nested, { force: true });
    expect((await Datastore.open(nested)).fingerprint).toBe(three.fingerprint);
  });

  it('is found through a link and after it was moved together with its parts', async () => {
    const folders = await makeShards([2, 3]);
    const root = join(folders[0], '..');
    await link(folders, join(root, 'whole'));
    const elsewhere = await newFolder();
    await mkdir(join(elsewhere, 'deep'));
    await rename(root, join(elsewhere, 'deep', 'moved'));
    await mkdir(root);
    await symlink(join(elsewhere, 'deep', 'moved', 'whole'), join(elsewhere, 'link'));
    const datastore = await Datastore.open(join(elsewhere, 'link'));
    expect(datastore.readKeys(0, 5)).toEqual(keysF32(0, 5, dimension));
  });

  it('carries the weights of its parts over', async () => {
    const folders = await makeShards([2, 3]);
    await writeFile(join(folders[1], 'weight.npy'), Float32Array.of(2, 3, 4));
    const folder = await newFolder();
    await link(folders, folder);
    const weights = await ValueWeights.open(folder, 5);
    expect([...weights.read(0, 5)]).toEqual([1, 1, 2, 3, 4]);
    expect(await verifyDatastore(folder)).toMatchObject({
      ok: true,
      weights: { sum: 11, checksummed: true },
    });
    await writeFile(join(folder, 'weight.npy'), Float32Array.of(1, 1, 2, 3, 5));
    expect((await verifyDatastore(folder)).problems).toEqual([
      expect.objectContaining({ kind: 'weights', message: expect.stringMatching(/checksum/) as string }),
    ]);
  });

  it('is refused when a part is another, damaged or gone; what was appended to one does not matter', async () => {
    const folders = await makeShards([5, 7]);
    const folder = await newFolder();
    await link(folders, folder);
    const writer = await DatastoreWriter.extend(folders[0], {
      ...{ rows: 2, dimension, dtype: 'fp32' },
      identity: { ...text, split: 'more' },
    });
    await writer.append(keysOf(50, 2, dimension, 'fp32'), valuesOf(50, 2));
    expect((await verifyDatastore(folder)).ok).toBe(true);
    await writer.finish();
    await writer.close();
    const datastore = await Datastore.open(folder);
    expect(datastore.readKeys(0, 12)).toEqual(keysF32(0, 12, dimension));
    expect((await verifyDatastore(folder)).ok).toBe(true);

    const bytes = await readFile(join(folders[1], 'values.npy'));
    await writeFile(join(folders[1], 'values.npy'), Buffer.from(bytes).fill(1, 50, 51));
    expect((await verifyDatastore(folder)).problems).toEqual([
      expect.objectContaining({ kind: 'checksum', path: join(folders[1], 'values.npy'), row: 4 }),
    ]);
    expect((await datastore.quickVerify()).ok).toBe(false);
    await truncate(join(folders[1], 'values.npy'), 8);
    await failing(Datastore.open(folder), 'DATASTORE_SIZE_MISMATCH');
    await cp(await make(await newFolder(), 1, 7), folders[1], { recursive: true });
    await failing(Datastore.open(folder), 'DATASTORE_PART_CHANGED');
    expect((await verifyDatastore(folder)).problems[0]).toMatchObject({ kind: 'part' });
    await rename(folders[1], `${folders[1]}-away`);
    await failing(Datastore.open(folder), 'DATASTORE_NOT_FOUND');
    expect((await verifyDatastore(folder)).problems).toHaveLength(1);
  });

  it('refuses what does not fit together and keeps what is there', async () => {
    const [a, b] = await makeShards([2, 3]);
    const folder = await newFolder();
    await failing(link([b, a], folder), 'DATASTORE_MERGE_SHARDS');
    await failing(link([a, b], a), 'DATASTORE_SAME_FOLDER');
    await failing(linkDatastores([], folder), 'DATASTORE_BAD_ARGUMENT');
    expect(await readdir(folder)).toEqual([]);
    await link([a, b], folder);
    await failing(link([a, b], folder), 'DATASTORE_ALREADY_FINISHED');
    await failing(link([b, a], folder, { force: true }), 'DATASTORE_MISMATCH');
    await link([b, a], folder, { force: true, overwrite: true });
    expect((await Datastore.open(folder)).readValues(0, 5)).toEqual(Int32Array.of(2, 3, 4, 0, 1));
    const copied = await make(await newFolder(), 7, 4);
    await failing(link([a, b], copied), 'DATASTORE_MISMATCH');
    await link([a, b], copied, { overwrite: true });
    expect(await readdir(copied)).toEqual(['datastore.msgpack']);
    const extending = DatastoreWriter.extend(folder, { rows: 1, dimension, dtype: 'fp32', identity: text });
    await failing(extending, 'DATASTORE_NOT_APPENDABLE');
    const python = await newFolder();
    await cp(a, python, { recursive: true });
    await writeFile(join(python, 'datastore.msgpack'), '');
    await failing(Datastore.open(python), 'DATASTORE_MANIFEST_DAMAGED');
  });
});
