// The search with look-ups in registers: exact whatever k is, and the same as Faiss's own.
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { randomNumbers } from '../test/golden.js';
import { FaissIndex } from './faiss-index.js';

const dimension = 64;
const folder = await mkdtemp(join(tmpdir(), 'knn-lm-scan-'));

/** An index of some vectors, in which a third is there twice so that distances are equal. */
async function build(rows: number, codeSize: number, centroids: number): Promise<FaissIndex> {
  const index = FaissIndex.ivfPq({ dimension, centroids, codeSize });
  const vectors = randomNumbers(rows * dimension);
  await index.train(vectors, { threads: 1 });
  await index.add(vectors, { threads: 1 });
  await index.add(vectors.subarray(0, Math.floor(rows / 3) * dimension), { threads: 1 });
  return index;
}

describe.each([16, 32])('an IndexIVFPQ with codes of %i bytes', (codeSize) => {
  it('finds for each k the first k of all, in order of distance and id', async () => {
    const index = await build(700, codeSize, 8);
    index.nprobe = 8;
    const queries = randomNumbers(5 * dimension, 9);
    const all = await index.search(queries, index.size, { threads: 1 });
    for (let row = 0; row < 5; row++) {
      for (let i = row * index.size + 1; i < (row + 1) * index.size; i++) {
        const ascends = all.distances[i - 1] < all.distances[i];
        expect(ascends || (all.distances[i - 1] === all.distances[i] && all.ids[i - 1] < all.ids[i])).toBe(
          true,
        );
      }
      expect(new Set(all.ids.subarray(row * index.size, (row + 1) * index.size)).size).toBe(index.size);
    }
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 900 }),
        fc.integer({ min: 1, max: 3 }),
        async (k, threads) => {
          const found = await index.search(queries, k, { threads });
          for (let row = 0; row < 5; row++) {
            const [ids, distances] = [all.ids, all.distances].map((values) =>
              values.subarray(row * index.size, row * index.size + k),
            );
            expect(found.ids.subarray(row * k, (row + 1) * k)).toEqual(ids);
            expect(found.distances.subarray(row * k, (row + 1) * k)).toEqual(distances);
          }
        },
      ),
      { numRuns: 25 },
    );
    index.close();
  });

  it('finds what Faiss finds with another index over the same codes', async () => {
    const index = await build(900, codeSize, 4);
    index.nprobe = 3;
    // Behind a transform that changes nothing, Faiss itself searches.
    const path = join(folder, `plain${codeSize}`);
    await index.write(path);
    const wrapped = join(folder, `wrapped${codeSize}`);
    await writeFile(wrapped, behindNothing(await readFile(path), index.size));
    const other = await FaissIndex.read(wrapped, { trusted: true });
    other.nprobe = 3;
    const queries = randomNumbers(70 * dimension, 5);
    for (const k of [1, 10, 300]) {
      const [a, b] = await Promise.all([index.search(queries, k), other.search(queries, k)]);
      for (let i = 0; i < a.distances.length; i++) {
        const scale = 1 + Math.abs(b.distances[i]);
        expect(Math.abs(a.distances[i] - b.distances[i]) / scale).toBeLessThan(1e-5);
      }
    }
    index.close();
    other.close();
  });
});

describe('many queries at once', () => {
  it('find what each finds alone, over lists that are gone through in pieces', async () => {
    const index = await build(30_000, 16, 2);
    index.nprobe = 2;
    // Blocks of 256 queries of one thread, and one that is not full; of two threads, fewer each.
    const queries = randomNumbers(600 * dimension, 7);
    const k = 40;
    const alone = [];
    for (let row = 0; row < 600; row += 50) {
      alone.push(
        await index.search(queries.subarray(row * dimension, (row + 1) * dimension), k, { threads: 1 }),
      );
    }
    for (const threads of [1, 2]) {
      const { ids, distances } = await index.search(queries, k, { threads });
      for (const [i, expected] of alone.entries()) {
        const place = [50 * i * k, (50 * i + 1) * k] as const;
        expect(ids.subarray(...place)).toEqual(expected.ids);
        // The distances to the lists come from BLAS for many queries and from a plain sum for few: last bits differ.
        for (const [j, distance] of distances.subarray(...place).entries()) {
          expect(Math.abs(distance - expected.distances[j])).toBeLessThan(1e-5 * distance);
        }
      }
    }
    index.close();
  });
});

/** An IndexPreTransform without transforms around an index file (faiss/impl/index_write.cpp). */
function behindNothing(index: Buffer, size: number): Buffer {
  const header = Buffer.alloc(4 + 4 + 8 + 16 + 1 + 4 + 4);
  header.write('IxPT', 0, 'latin1');
  header.writeInt32LE(dimension, 4);
  header.writeBigInt64LE(BigInt(size), 8);
  header.writeUInt8(1, 32);
  header.writeInt32LE(1, 33);
  header.writeInt32LE(0, 37);
  return Buffer.concat([header, index]);
}
