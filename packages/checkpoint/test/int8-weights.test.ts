import { chmodSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertCheckpoint, ensureInt8Folder, ensureInt8Weights, type ModelFolder } from '../src/index.js';
import { golden, newFolder } from './support/files.js';

const convert = (): Promise<ModelFolder> =>
  convertCheckpoint(golden('model.zip.pt'), join(newFolder(), 'model'));

describe('ensureInt8Weights', () => {
  it('writes a quarter of the linear layers once', async () => {
    const model = await convert();
    const progress: number[] = [];
    const path = await ensureInt8Weights(model, { onProgress: ({ done }) => progress.push(done) });
    const { layers, embedDim, ffnDim } = model.architecture;
    const weights = layers * (4 * embedDim ** 2 + 2 * embedDim * ffnDim);
    const { size, ino } = statSync(path);
    expect(size).toBeGreaterThan(weights);
    expect(size).toBeLessThan(weights * 1.5);
    expect(progress).toHaveLength(6 * layers);
    expect(progress.at(-1)).toBe(size);
    await ensureInt8Weights(model);
    expect(statSync(path).ino).toBe(ino);
  });

  it('makes it again where it is cut short or belongs to another model', async () => {
    const model = await convert();
    const path = await ensureInt8Weights(model);
    const good = readFileSync(path);
    truncateSync(path, good.length - 1);
    await ensureInt8Weights(model);
    expect(readFileSync(path).equals(good)).toBe(true);
    const other = { ...model, fingerprint: '0'.repeat(64) };
    await ensureInt8Weights(other);
    expect(readFileSync(path).equals(good)).toBe(false);
    writeFileSync(path, 'x');
    await ensureInt8Weights(model);
    expect(readFileSync(path).equals(good)).toBe(true);
  });

  it('leaves nothing when it is stopped', async () => {
    const model = await convert();
    const before = readdirSync(model.folder);
    await expect(ensureInt8Weights(model, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
    expect(readdirSync(model.folder)).toEqual(before);
  });

  it('refuses weights that cannot be rounded', async () => {
    const model = await convert();
    const { byteOffset } = model.weights.get('decoder.layers.0.fc1.weight')!;
    const path = join(model.folder, model.weightsFile);
    const bytes = readFileSync(path);
    bytes.writeFloatLE(NaN, byteOffset + 40);
    writeFileSync(path, bytes);
    await expect(ensureInt8Weights(model)).rejects.toMatchObject({
      code: 'INT8_NOT_FINITE',
      message: expect.stringContaining('decoder.layers.0.fc1') as string,
    });
  });

  it('says what to do where the folder cannot be written', async () => {
    const model = await convert();
    // Root may write anywhere, so that the folder has to be gone for root.
    if (process.getuid?.() === 0) rmSync(model.folder, { recursive: true });
    else chmodSync(model.folder, 0o555);
    const problem = await ensureInt8Weights({ ...model }).catch((error: unknown) => error);
    expect(problem).toMatchObject({
      code: 'INT8_NOT_WRITTEN',
      hint: expect.stringContaining('--model-cache') as string,
    });
  });
});

describe('ensureInt8Folder', () => {
  it('is the folder itself where that can be written, or has them already', async () => {
    const model = await convert();
    const cache = newFolder();
    expect(await ensureInt8Folder(model, { modelCache: cache })).toBe(model);
    chmodSync(model.folder, 0o555);
    expect(await ensureInt8Folder(model, { modelCache: cache })).toBe(model);
    expect(readdirSync(cache)).toEqual([]);
    chmodSync(model.folder, 0o755);
  });

  it('is one in the cache where that cannot be written, made once', async () => {
    const model = await convert();
    chmodSync(model.folder, 0o555);
    const before = readdirSync(model.folder);
    const options = { modelCache: join(newFolder(), 'cache') };
    const copy = await ensureInt8Folder(model, options);
    expect(copy).toMatchObject({ fingerprint: model.fingerprint, architecture: model.architecture });
    expect(readdirSync(copy.folder).sort()).toEqual(['config.json', 'weights.bin', 'weights.int8.bin']);
    expect(readFileSync(join(copy.folder, 'weights.bin'))).toEqual(
      readFileSync(join(model.folder, 'weights.bin')),
    );
    const { ino } = statSync(join(copy.folder, 'weights.int8.bin'));
    expect((await ensureInt8Folder(model, options)).folder).toBe(copy.folder);
    expect(statSync(join(copy.folder, 'weights.int8.bin')).ino).toBe(ino);
    // A copy that is damaged is made again.
    truncateSync(join(copy.folder, 'config.json'), 10);
    expect((await ensureInt8Folder(model, options)).fingerprint).toBe(model.fingerprint);
    expect(readdirSync(model.folder)).toEqual(before);
    chmodSync(model.folder, 0o755);
  });

  it('leaves no half of a weights file when it is stopped', async () => {
    const model = await convert();
    chmodSync(model.folder, 0o555);
    const options = { modelCache: newFolder(), signal: AbortSignal.abort() };
    await expect(ensureInt8Folder(model, options)).rejects.toMatchObject({ code: 'CANCELLED' });
    const [copy] = readdirSync(options.modelCache);
    expect(readdirSync(join(options.modelCache, copy)).sort()).toEqual(['config.json', 'weights.bin']);
    chmodSync(model.folder, 0o755);
  });
});
