// Distances to rows that are read in order, and to rows of a mapping, are the same bits.
import { existsSync } from 'node:fs';
import { cp, mkdtemp, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keysF32, keysOf, newFolder, valuesOf } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { DatastoreWriter } from './writer.js';

/** A file system in memory does not tell what is cached; the disk does. */
const places = [tmpdir(), '/dev/shm'].filter((place) => existsSync(place));

async function make(rows: number, dimension: number): Promise<string> {
  const folder = await newFolder();
  const writer = await DatastoreWriter.create(folder, { rows, dimension, dtype: 'fp16', identity: {} });
  await writer.append(keysOf(0, rows, dimension, 'fp16'), valuesOf(0, rows));
  await writer.finish();
  await writer.close();
  return folder;
}

describe.each(places)('keys in %s', (place) => {
  // More than one window of rows; rows that do not begin on a cache line; one row larger than a window.
  it.each([
    [3000, 512, 40],
    [3000, 100, 40],
    [5, 600_000, 2],
  ])('%i rows of %i dimensions, %i queries', async (rows, dimension, queryCount) => {
    const folder = await mkdtemp(join(place, 'knn-lm-access-'));
    try {
      await cp(await make(rows, dimension), folder, { recursive: true });
      const datastore = await Datastore.open(folder, { engine: 'native' });
      const k = 100;
      const ids = Float64Array.from({ length: queryCount * k }, (_, i) =>
        i % 17 === 0 ? -1 : (i * i * 7 + i) % Math.min(rows, 40 + i),
      );
      const queries = keysF32(rows, queryCount, dimension);
      for (const missing of ['last-row', 'infinity'] as const) {
        const distances = (access: 'mapped' | 'read', threads: number) =>
          datastore.squaredDistances(queries, ids, k, undefined, { access, missing, threads });
        const mapped = await distances('mapped', 1);
        for (const threads of [1, 3]) expect(await distances('read', threads)).toEqual(mapped);
        expect(mapped.some((distance) => distance === Infinity)).toBe(missing === 'infinity');
      }
      await truncate(join(folder, 'keys.npy'), 10);
      for (const access of ['mapped', 'read'] as const)
        await expect(
          datastore.squaredDistances(queries, ids, k, undefined, { access }),
        ).rejects.toMatchObject({
          code: 'DATASTORE_SIZE_MISMATCH',
          message: expect.stringMatching(/cut after it was opened/) as string,
        });
      datastore.close();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
