import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fixture, fixturesFolder } from '@knn-lm/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keysOf, newFolder, valuesOf } from '../test/support/rows.js';
import { Datastore } from './datastore.js';
import { KeyTransform, transformName } from './key-transform.js';
import { reduceDimensions } from './reduce-dimensions.js';
import { DatastoreWriter } from './writer.js';

// numpy.linalg.eigh of the covariance of the keys (i * 7 + j * 3 + i * j) % 11, i below 8, j below 3: the first two
// eigenvectors, their largest element positive, and the components of the keys.
const golden = {
  vectors: [
    [0.8251913072208596, -0.36953715491933403, -0.4272020571360269],
    [0.14183513905686693, 0.8676328098159592, -0.4765460110625025],
  ],
  components: [
    [-4.280175283139802, -3.086265015047229],
    [3.4591794464362713, -3.7432254489720327],
    [-1.9434789075297858, 3.5835884954531783],
    [5.795875822046288, 2.926628061528374],
    [-0.24109645630339083, -4.532525023709494],
    [-5.6437548102694475, 2.7942889207157173],
    [2.0955999193066255, 2.137328486790913],
    [0.7578502694532427, -0.07981847675942738],
  ],
};

async function store(keys: Float32Array | Uint16Array, dimension: number): Promise<Datastore> {
  const folder = await newFolder();
  const rows = keys.length / dimension;
  const dtype = keys instanceof Uint16Array ? 'fp16' : 'fp32';
  const writer = await DatastoreWriter.create(folder, {
    rows,
    dimension,
    dtype,
    identity: { split: 'train' },
  });
  await writer.append(keys, valuesOf(0, rows));
  await writer.finish();
  await writer.close();
  return Datastore.open(folder);
}

const goldenStore = () =>
  store(
    Float32Array.from({ length: 24 }, (_, n) => {
      const [i, j] = [Math.floor(n / 3), n % 3];
      return (i * 7 + j * 3 + i * j) % 11;
    }),
    3,
  );

function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((worst, value, i) => Math.max(worst, Math.abs(value - b[i])), 0);
}

function hearing(): { lines: string[]; logger: { info(line: string): void; warn(): void } } {
  const lines: string[] = [];
  return { lines, logger: { info: (line) => void lines.push(line), warn() {} } };
}

describe('reduceDimensions', () => {
  it("gives numpy's principal components, and a transform that datastores open with", async () => {
    const source = await goldenStore();
    const folder = await newFolder();
    const { rows, transform } = await reduceDimensions(source, folder, { dimension: 2 });
    expect(rows).toBe(8);
    const reduced = await Datastore.open(folder);
    expect([reduced.dimension, reduced.dtype]).toEqual([2, 'fp32']);
    expect(reduced.manifest?.identity).toMatchObject({
      split: 'train',
      transformFingerprint: transform.fingerprint,
    });
    expect(maxDifference(reduced.readKeys(0, 8), golden.components.flat())).toBeLessThan(2e-6);
    expect(maxDifference(transform.weight, golden.vectors.flat())).toBeLessThan(1e-7);
    expect([...reduced.readValues(0, 8)]).toEqual([...valuesOf(0, 8)]);
    expect(reduced.transform?.apply(source.readKeys(0, 8))).toEqual(reduced.readKeys(0, 8));
  });

  it('a random rotation keeps all distances', async () => {
    const source = await goldenStore();
    const folder = await newFolder();
    await reduceDimensions(source, folder, { dimension: 3, randomRotation: true });
    const reduced = await Datastore.open(folder);
    const ids = Float64Array.from({ length: 64 }, (_, i) => i % 8);
    const before = await source.squaredDistances(source.readKeys(0, 8), ids, 8);
    const after = await reduced.squaredDistances(reduced.readKeys(0, 8), ids, 8);
    expect(maxDifference(before, after)).toBeLessThan(1e-4);
    const first = reduced.transform?.weight.slice(0, 6) ?? [];
    expect(maxDifference(first, golden.vectors.flat())).toBeGreaterThan(0.1);
  });

  it('looks at a part of the keys when asked to, and says how much variance is kept', async () => {
    const source = await store(keysOf(0, 5000, 6, 'fp16'), 6);
    const { lines, logger } = hearing();
    await reduceDimensions(source, await newFolder(), { dimension: 3, trainedKeys: 1024, logger });
    expect(lines.join()).toMatch(/PCA of 1,024 keys: 3 of 6 dimensions keep 5\d\.\d\d %/);
  });

  it('goes on after a stop with the analysis it had', async () => {
    const source = await store(keysOf(0, 9000, 256, 'fp16'), 256);
    const [straight, stopped] = [await newFolder(), await newFolder()];
    const options = { dimension: 8, trainedKeys: 512 };
    await reduceDimensions(source, straight, options);
    const controller = new AbortController();
    const stopping = reduceDimensions(source, stopped, {
      ...options,
      signal: controller.signal,
      onProgress: ({ stage }) => stage === 'append' && controller.abort(),
    });
    await expect(stopping).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(Datastore.open(stopped)).rejects.toMatchObject({ code: 'DATASTORE_UNFINISHED' });
    const stages = new Set<string>();
    const onProgress = ({ stage }: { stage: string }) => void stages.add(stage);
    const { rowsResumed } = await reduceDimensions(source, stopped, { ...options, onProgress });
    expect(rowsResumed).toBeGreaterThan(0);
    expect(stages).not.toContain('covariance');
    for (const name of ['keys.npy', 'values.npy', 'datastore.msgpack', transformName]) {
      const [a, b] = await Promise.all([straight, stopped].map((each) => readFile(join(each, name))));
      expect(digest(a), name).toBe(digest(b));
    }
  });

  it('refuses more dimensions, a second reduction, its own folder, and a finished one', async () => {
    const source = await goldenStore();
    const folder = await newFolder();
    const reduce = (into: string, dimension: number) => reduceDimensions(source, into, { dimension });
    await expect(reduce(folder, 4)).rejects.toMatchObject({ code: 'DATASTORE_BAD_ARGUMENT' });
    await expect(reduce(source.folder, 2)).rejects.toMatchObject({ code: 'DATASTORE_SAME_FOLDER' });
    await reduce(folder, 2);
    await expect(reduce(folder, 2)).rejects.toMatchObject({ code: 'DATASTORE_ALREADY_FINISHED' });
    const reduced = await Datastore.open(folder);
    await expect(reduceDimensions(reduced, await newFolder(), { dimension: 1 })).rejects.toMatchObject({
      code: 'DATASTORE_REDUCED_ALREADY',
    });
  });

  it('a datastore with another transform, a damaged one, or none is not opened', async () => {
    const source = await goldenStore();
    const [a, b] = [await newFolder(), await newFolder()];
    await reduceDimensions(source, a, { dimension: 2 });
    await reduceDimensions(source, b, { dimension: 2, randomRotation: true });
    const path = join(a, transformName);
    const own = await readFile(path);
    await writeFile(path, await readFile(join(b, transformName)));
    await expect(Datastore.open(a)).rejects.toMatchObject({ code: 'DATASTORE_TRANSFORM_MISMATCH' });
    await fc.assert(
      fc.asyncProperty(fc.nat(own.length * 8 - 1), async (bit) => {
        const damaged = Uint8Array.from(own);
        damaged[bit >> 3] ^= 1 << (bit & 7);
        await writeFile(path, damaged);
        const opened = await Datastore.open(a).catch((error: { code?: string }) => error.code);
        // A flipped bit of the note on where it comes from changes nothing else.
        if (opened instanceof Datastore)
          expect(opened.transform?.fingerprint).toBe(opened.manifest?.identity['transformFingerprint']);
        else expect(opened).toMatch(/^DATASTORE_(BAD_TRANSFORM|TRANSFORM_MISMATCH)$/);
      }),
      { numRuns: 60 },
    );
    await rm(path);
    await expect(Datastore.open(a)).rejects.toMatchObject({ code: 'DATASTORE_TRANSFORM_MISMATCH' });
  });

  it.skipIf(fixturesFolder === undefined)('keeps most of the variance of real keys', async () => {
    const shape = { rows: 20238, dimension: 256, dtype: 'fp16' } as const;
    const source = await Datastore.open(fixture('pipeline', 'datastore', 'main'), shape);
    const { lines, logger } = hearing();
    await reduceDimensions(source, await newFolder(), { dimension: 64, logger });
    // numpy on the same keys: 0.8756.
    expect(lines.join()).toMatch(/keep 87\.56 %/);
  });
});

describe('KeyTransform', () => {
  it('maps many keys as it maps one, and refuses other dimensions', () => {
    const transform = new KeyTransform({
      weight: Float32Array.from({ length: 35 }, (_, i) => Math.sin(i)),
      bias: Float32Array.of(1, 2, 3, 4, 5),
      inputDimension: 7,
    });
    const keys = Float32Array.from({ length: 7 * 300 }, (_, i) => Math.cos(i));
    const all = transform.apply(keys);
    for (const row of [0, 123, 299])
      expect(transform.apply(keys.slice(7 * row, 7 * row + 7))).toEqual(all.slice(5 * row, 5 * row + 5));
    const expected = transform.weight.slice(0, 7).reduce((sum, weight, i) => sum + weight * keys[i], 1);
    expect(all[0]).toBeCloseTo(expected, 5);
    expect(() => transform.apply(new Float32Array(8))).toThrow(/no whole number of keys of 7/);
    const [weight, bias] = [new Float32Array(6), new Float32Array(2)];
    expect(() => new KeyTransform({ weight, bias, inputDimension: 4 })).toThrow(/cannot be used/);
    weight[3] = NaN;
    expect(() => new KeyTransform({ weight, bias, inputDimension: 3 })).toThrow(/not finite/);
  });
});

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
