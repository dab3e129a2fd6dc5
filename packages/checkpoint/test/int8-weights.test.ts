import { chmodSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertCheckpoint, ensureInt8Weights, type ModelFolder } from '../src/index.js';
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
