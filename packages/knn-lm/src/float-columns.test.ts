import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FloatColumns } from './float-columns.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'knn-lm-columns-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Rows of `[i, -i, i / 2]` in batches of uneven size. */
async function fill(columns: FloatColumns, rows: number): Promise<void> {
  for (let row = 0; row < rows;) {
    const count = Math.min(rows - row, 5000);
    const values = Float64Array.from({ length: count * 3 }, (_, at) => {
      const i = row + Math.floor(at / 3);
      return [i, -i, i / 2][at % 3];
    });
    await columns.append(values);
    row += count;
  }
}

describe('FloatColumns', () => {
  it.each([
    ['in memory', 2 ** 30, false],
    ['partly on disk', 400_000, true],
    ['on disk', 0, true],
  ])('gives back what was written: %s', async (_, memoryBytes, spills) => {
    const columns = new FloatColumns(3, { memoryBytes, scratchFolder: folder });
    await fill(columns, 50_000);
    expect(columns.rows).toBe(50_000);
    expect(columns.spilledBytes > 0).toBe(spills);
    expect(await readdir(folder)).toEqual([]);
    for (const [c, factor] of [1, -1, 0.5].entries()) {
      const column = await columns.read(c);
      expect(column).toEqual(Float32Array.from({ length: 50_000 }, (_unused, i) => i * factor));
    }
    await columns.close();
  });

  it('says which folder cannot be written', async () => {
    const columns = new FloatColumns(3, { memoryBytes: 0, scratchFolder: join(folder, 'missing') });
    await expect(fill(columns, 10_000)).rejects.toMatchObject({
      code: 'FILE_ENOENT',
      message: expect.stringContaining('missing') as string,
    });
  });
});
