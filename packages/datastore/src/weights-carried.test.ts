// Weights, and the map of reduced keys, go with the entries through every tool.
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keysOf, newFolder } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { dedupDatastore } from './dedup.js';
import { linkDatastores } from './link.js';
import { mergeDatastores } from './merge.js';
import { pruneToRows } from './prune.js';
import { reduceDimensions } from './reduce-dimensions.js';
import { RowBits } from './row-bits.js';
import { ValueWeights } from './value-weights.js';
import { verifyDatastore } from './verify.js';
import { DatastoreWriter } from './writer.js';

/** Entries of two dimensions; equal numbers have equal keys and values. */
async function make(entries: readonly number[], weights?: readonly number[]): Promise<Datastore> {
  const folder = await newFolder();
  const options = {
    rows: entries.length,
    dimension: 2,
    dtype: 'fp32',
    identity: { split: 'train' },
  } as const;
  const writer = await DatastoreWriter.create(folder, options);
  const keys = entries.flatMap((entry) => [...keysOf(entry, 1, 2, 'fp32')]);
  await writer.append(Float32Array.from(keys), Int32Array.from(entries));
  if (weights !== undefined) await writer.writeWeights([Float32Array.from(weights)]);
  await writer.finish();
  await writer.close();
  return Datastore.open(folder);
}

async function weightsOf(folder: string): Promise<number[]> {
  const report = await verifyDatastore(folder);
  expect(report).toMatchObject({ ok: true, weights: { checksummed: true } });
  const weights = await ValueWeights.open(folder, report.rows);
  const all = [...weights.read(0, report.rows)];
  weights.close();
  return all;
}

describe('weights', () => {
  it('are joined; entries of datastores without any weigh 1', async () => {
    const sources = [await make([1, 2], [3, 4]), await make([5]), await make([6], [0.5])];
    const [copy, list] = [await newFolder(), await newFolder()];
    await mergeDatastores(sources, copy, { dtype: 'fp32' });
    await linkDatastores(sources, list);
    expect(await weightsOf(copy)).toEqual([3, 4, 1, 0.5]);
    expect(await weightsOf(list)).toEqual([3, 4, 1, 0.5]);
  });

  it('are added up where equal entries become one', async () => {
    for (const rowsAtOnce of [100, 2]) {
      const folder = await newFolder();
      const source = await make([7, 8, 7, 9, 7], [1, 2, 4, 8, 16]);
      expect(await dedupDatastore(source, folder, { rowsAtOnce })).toMatchObject({ rows: 3, dropped: 2 });
      expect(await weightsOf(folder)).toEqual([21, 2, 8]);
    }
  });

  it('stay with the entries that stay, and with reduced ones', async () => {
    const source = await make([7, 8, 9], [1, 2, 4]);
    const chosen = new RowBits(3);
    chosen.add(0);
    chosen.add(2);
    const [pruned, reduced] = [await newFolder(), await newFolder()];
    await pruneToRows(source, chosen, pruned, { identity: {} });
    expect(await weightsOf(pruned)).toEqual([1, 4]);
    await reduceDimensions(source, reduced, { dimension: 1 });
    expect(await weightsOf(reduced)).toEqual([1, 2, 4]);
  });

  it('are one for each entry, and are gone with the datastore that had them', async () => {
    const folder = await newFolder();
    const options = { rows: 2, dimension: 1, dtype: 'fp32', identity: {} } as const;
    const writer = await DatastoreWriter.create(folder, options);
    await writer.append(new Float32Array(2), new Int32Array(2));
    await expect(writer.writeWeights([new Float32Array(3)])).rejects.toMatchObject({
      code: 'DATASTORE_BAD_WEIGHT',
    });
    await writer.close();
    const weighed = await make([1, 2], [3, 4]);
    const again = await DatastoreWriter.create(weighed.folder, { ...options, overwrite: true });
    await again.append(new Float32Array(2), new Int32Array(2));
    expect(await weightsOf(weighed.folder)).toEqual([3, 4]);
    await again.finish();
    await again.close();
    expect((await readdir(weighed.folder)).sort()).toEqual(['datastore.msgpack', 'keys.npy', 'values.npy']);
  });

  it('that were changed, cut or removed are found', async () => {
    const { folder } = await make([1, 2], [3, 4]);
    const path = join(folder, 'weight.npy');
    for (const [content, message] of [
      [Float32Array.of(3, 5), /does not have the checksum/],
      [Float32Array.of(3, -1), /the weight of entry 1 is -1/],
      [Float32Array.of(3), /has 4 bytes, which is 1 weights; the datastore has 2/],
    ] as const) {
      await writeFile(path, content);
      const { problems } = await verifyDatastore(folder);
      expect(problems[0]).toMatchObject({ kind: 'weights', path });
      expect(problems.map((problem) => problem.message).join()).toMatch(message);
    }
  });
});

describe('the map of reduced keys', () => {
  it('goes with the entries', async () => {
    const reduced = await newFolder();
    const { transform } = await reduceDimensions(await make([1, 2, 2]), reduced, { dimension: 1 });
    const source = await Datastore.open(reduced);
    const [merged, list, deduped] = [await newFolder(), await newFolder(), await newFolder()];
    await mergeDatastores([source, source], merged, { dtype: 'fp32' });
    await linkDatastores([source, source], list);
    await dedupDatastore(source, deduped);
    for (const folder of [merged, list, deduped])
      expect((await Datastore.open(folder)).transform?.fingerprint).toBe(transform.fingerprint);
  });
});
