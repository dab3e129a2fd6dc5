import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newFolder } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { DatastoreError } from './error.js';
import { KeyTransform } from './key-transform.js';
import { loadTorchTransform, saveTorchTransform, torchTransformName } from './torch-transform.js';

/** Made by PyTorch; see the README of the folder above. */
const golden = (name: string) => fileURLToPath(new URL(`../test/golden/torch/${name}`, import.meta.url));

const weight = Float32Array.of(0, 0.125, 0.25, 0.375, 0.5, 0.625);
const bias = Float32Array.of(-1.5, 2);

describe('transform.pt', () => {
  it("of PyTorch is read, and queries of Python's reduced datastores go through it", async () => {
    const folder = await newFolder();
    await copyFile(golden('transform.pt'), join(folder, torchTransformName));
    await writeFile(join(folder, 'keys.npy'), Float32Array.of(1, 2));
    await writeFile(join(folder, 'values.npy'), BigInt64Array.of(3n));
    const datastore = await Datastore.open(folder, { rows: 1, dimension: 2, dtype: 'fp32' });
    expect(datastore.transform).toMatchObject({ weight, bias, inputDimension: 3 });
    expect([...(datastore.transform?.apply(Float32Array.of(8, 0, 8)) ?? [])]).toEqual([0.5, 10]);
    await expect(Datastore.open(folder, { rows: 1, dimension: 1, dtype: 'fp32' })).rejects.toMatchObject({
      code: 'DATASTORE_TRANSFORM_MISMATCH',
    });
  });

  it('is written with the description that PyTorch writes', async () => {
    const folder = await newFolder();
    const transform = new KeyTransform({ weight, bias, inputDimension: 3 });
    await saveTorchTransform(folder, transform);
    const read = await loadTorchTransform(folder);
    expect(read?.fingerprint).toBe(transform.fingerprint);
    const text = (await readFile(join(folder, torchTransformName))).toString('latin1');
    const theirs = (await readFile(golden('transform.pt'))).toString('latin1');
    for (const part of ['archive/data.pkl', 'ctorch._utils\n_rebuild_tensor_v2', 'ctorch\nFloatStorage\n']) {
      expect(text).toContain(part.replace('archive/', ''));
      expect(theirs).toContain(part.replace('archive/', ''));
    }
  });

  it('there is none, or it is a network', async () => {
    const folder = await newFolder();
    expect(await loadTorchTransform(folder)).toBeUndefined();
    await copyFile(golden('network.pt'), join(folder, torchTransformName));
    await expect(loadTorchTransform(folder)).rejects.toMatchObject({
      code: 'DATASTORE_BAD_TRANSFORM',
      message: expect.stringMatching(/does not hold the weight and the bias of a PCA/) as string,
    });
  });

  it('damaged in any way is an error for people, or the same map', async () => {
    const folder = await newFolder();
    const own = await readFile(golden('transform.pt'));
    const path = join(folder, torchTransformName);
    const damage = fc.record({ at: fc.nat(own.length - 1), byte: fc.nat(255), cut: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(damage, async ({ at, byte, cut }) => {
        const bytes = Uint8Array.from(own);
        bytes[at] = byte;
        await writeFile(path, cut ? bytes.subarray(0, at) : bytes);
        const result = await loadTorchTransform(folder).catch((error: unknown) => error);
        if (result instanceof KeyTransform) expect(result.weight).toEqual(weight);
        else expect(result).toBeInstanceOf(DatastoreError);
      }),
      { numRuns: 200 },
    );
  });
});
