import { mkdtemp, readFile, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { KnnLmError } from '@knn-lm/common';
import { goldenPath, randomNumbers, withCode } from '../test/golden.js';
import { FaissIndex } from './faiss-index.js';
import { readIndexFileHeader } from './index-file.js';

const folder = await mkdtemp(join(tmpdir(), 'knn-lm-index-file-'));
const files: Record<string, Buffer> = {};
beforeAll(async () => {
  const kinds = {
    flat: FaissIndex.flatL2(4),
    ivfFlat: FaissIndex.factory(4, 'IVF3,Flat'),
    ivfPq: FaissIndex.ivfPq({ dimension: 4, centroids: 3, codeSize: 2, bitsPerIndex: 3 }),
  };
  for (const [name, index] of Object.entries(kinds)) {
    const path = join(folder, name);
    const vectors = randomNumbers(4 * 100);
    if (!index.isTrained) await index.train(vectors);
    await index.add(vectors);
    await index.write(path);
    index.close();
    files[name] = await readFile(path);
  }
});

let written = 0;
async function tryToUse(bytes: Uint8Array, map: boolean): Promise<string> {
  // A new name each time: cutting a file that is mapped would end the process.
  const path = join(folder, `damaged${written++}`);
  await writeFile(path, bytes);
  try {
    const index = await FaissIndex.read(path, { map });
    await index.search(new Float32Array(index.dimension), 3, { threads: 1 });
    index.close();
    return 'used';
  } catch (error) {
    if (error instanceof KnnLmError) return error.code;
    throw error;
  }
}

describe('readIndexFileHeader', () => {
  it('tells what Python wrote', () => {
    expect(readIndexFileHeader(goldenPath('ivfpq.index'))).toEqual({
      type: 'IndexIVFPQ',
      dimension: 16,
      size: 900,
      trained: true,
      metric: 'l2',
      centroids: 12,
      nprobe: 3,
      nprobeByteOffset: 45,
      codeSize: 4,
      bitsPerIndex: 6,
    });
    expect(readIndexFileHeader(goldenPath('ivfpq.trained_index'))).toMatchObject({ size: 0, trained: true });
    expect(readIndexFileHeader(join(folder, 'flat'))).toEqual({
      type: 'IndexFlat',
      dimension: 4,
      size: 100,
      trained: true,
      metric: 'l2',
    });
    expect(readIndexFileHeader(join(folder, 'ivfFlat'))).toMatchObject({
      type: 'IndexIVFFlat',
      centroids: 3,
    });
  });

  it('refuses what is no index, by name and reason', async () => {
    const path = join(folder, 'wrong');
    await writeFile(path, '');
    expect(() => readIndexFileHeader(path)).toThrow(/wrong: the file is empty/);
    await writeFile(path, 'hello, this is text');
    expect(() => readIndexFileHeader(path)).toThrow(/begins with "hell", which is no Faiss index/);
    await expect(FaissIndex.read(join(folder, 'missing'))).rejects.toEqual(withCode('FILE_ENOENT'));
    await mkdir(join(folder, 'directory'));
    await expect(FaissIndex.read(join(folder, 'directory'))).rejects.toEqual(withCode('FILE_EISDIR'));
  });
});

describe('a damaged index file', () => {
  it.each(['flat', 'ivfFlat', 'ivfPq'])('that is cut short is refused at every length: %s', async (name) => {
    const bytes = files[name];
    for (let length = 0; length < bytes.length; length += length < 400 ? 1 : 97) {
      expect(await tryToUse(bytes.subarray(0, length), length % 2 === 0)).toBe('FAISS_INDEX_FORMAT');
    }
    expect(await tryToUse(bytes, true)).toBe('used');
  });

  it.each(['flat', 'ivfFlat', 'ivfPq'])(
    'with wrong bytes is refused or used, and the process lives: %s',
    async (name) => {
      const bytes = files[name];
      const byte = fc.oneof(fc.nat(Math.min(400, bytes.length - 1)), fc.nat(bytes.length - 1));
      await fc.assert(
        fc.asyncProperty(byte, fc.nat(255), fc.boolean(), async (at, value, map) => {
          const damaged = Buffer.from(bytes);
          damaged[at] = value;
          expect(await tryToUse(damaged, map)).toMatch(/^(used|FAISS_\w+)$/);
        }),
        { numRuns: 400 },
      );
    },
  );

  it('with 64-bit sizes beyond the file is refused before anything is allocated', async () => {
    const bytes = files['ivfPq'];
    for (let at = 4; at + 8 <= 400; at++) {
      const damaged = Buffer.from(bytes);
      damaged.writeBigUInt64LE(2n ** 39n, at);
      expect(await tryToUse(damaged, false)).toMatch(/^(used|FAISS_\w+)$/);
    }
  });

  it.each([NaN, Infinity, 1e30])('with %d for a coarse centroid is refused', async (value) => {
    const damaged = await readFile(goldenPath('ivfpq.index'));
    damaged.writeFloatLE(value, 98 + 4 * (7 * 16 + 2));
    const path = join(folder, 'centroid');
    await writeFile(path, damaged);
    await expect(FaissIndex.read(path)).rejects.toMatchObject({
      code: 'FAISS_INDEX_FORMAT',
      message: expect.stringContaining('coarse centroid 7') as string,
    });
  });
});
