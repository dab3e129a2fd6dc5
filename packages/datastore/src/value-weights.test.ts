import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { keysOf, newFolder, valuesOf } from '../test/support/rows.js';
import { ValueWeights } from './value-weights.js';
import { DatastoreWriter } from './writer.js';

/** A datastore of as many entries as there are weights. */
async function withWeights(...weights: number[]): Promise<string> {
  const folder = await newFolder();
  const rows = weights.length;
  const writer = await DatastoreWriter.create(folder, { rows, dimension: 3, dtype: 'fp16', identity: {} });
  await writer.append(keysOf(0, rows, 3, 'fp16'), valuesOf(0, rows));
  await writer.finish();
  await writer.close();
  await writeFile(join(folder, 'weight.npy'), Float32Array.from(weights));
  return folder;
}

describe('ValueWeights', () => {
  it('gathers by entry; a missing neighbour has the last weight', async () => {
    const weights = await ValueWeights.open(await withWeights(1, 2.5, 0, 7), 4);
    expect([...weights.gather(Float64Array.of(3, 0, -1, 1, 2))]).toEqual([7, 1, 7, 2.5, 0]);
    expect(weights.gather(new Float64Array(0))).toHaveLength(0);
    weights.check();
    weights.close();
  });

  it('checks more weights than it reads at a time', async () => {
    const many = new Array<number>(70_000).fill(1);
    const good = await ValueWeights.open(await withWeights(...many), many.length);
    good.check();
    good.close();
    many[69_999] = NaN;
    const bad = await ValueWeights.open(await withWeights(...many), many.length);
    expect(() => bad.check()).toThrow(/entry 69999 is NaN/);
    bad.close();
  });

  it.each([
    [NaN, 'NaN'],
    [-1, '-1'],
    [Infinity, 'Infinity'],
  ])('refuses the weight %s', async (weight, shown) => {
    const weights = await ValueWeights.open(await withWeights(1, weight, 1), 3);
    expect([...weights.gather(Float64Array.of(0, 2))]).toEqual([1, 1]);
    const refusal = {
      code: 'DATASTORE_BAD_WEIGHT',
      message: expect.stringContaining(`entry 1 is ${shown}`) as string,
    };
    expect(() => weights.gather(Float64Array.of(0, 1))).toThrow(expect.objectContaining(refusal));
    expect(() => weights.check()).toThrow(expect.objectContaining(refusal));
    weights.close();
  });

  it.each([-2, 3, 0.5, NaN])('refuses the entry %s', async (id) => {
    const weights = await ValueWeights.open(await withWeights(1, 1, 1), 3);
    expect(() => weights.gather(Float64Array.of(id))).toThrow(
      expect.objectContaining({ code: 'DATASTORE_ID_OUT_OF_RANGE' }),
    );
    weights.close();
  });

  it('refuses a file of another size, and says when there is none', async () => {
    const folder = await withWeights(1, 1, 1);
    await expect(ValueWeights.open(folder, 4)).rejects.toMatchObject({
      code: 'DATASTORE_SIZE_MISMATCH',
      message: expect.stringMatching(/3 weights; the datastore has 4/) as string,
    });
    await expect(ValueWeights.open(join(folder, 'none'), 3)).rejects.toMatchObject({
      code: 'DATASTORE_FILE_ENOENT',
    });
  });
});
