import { cp, mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fixture, fixturesFolder, repositoryFile } from '@knn-lm/testing';
import { activationsAt, maxDifference, readGoldenModel } from '../test/golden-model.js';
import { planOfRun, readRuns, scoredPositions } from '../test/python-runs.js';
import { LanguageModel, type LanguageModelOptions } from './language-model.js';

const golden = repositoryFile('packages', 'lm-runtime', 'test', 'golden', 'h_wiki103_arch');
const modelCache = await mkdtemp(join(tmpdir(), 'knn-lm-int8-'));
const open = (path: string, options: Partial<LanguageModelOptions> = {}): Promise<LanguageModel> =>
  LanguageModel.open(path, { purpose: 'score', modelCache, threads: 2, ...options });

/** Root mean square of the differences, relative to that of the expected values. */
function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let errors = 0;
  let squares = 0;
  for (let i = 0; i < expected.length; i++) {
    errors += (found[i] - expected[i]) ** 2;
    squares += expected[i] ** 2;
  }
  return Math.sqrt(errors / squares);
}

describe('precision int8', () => {
  const expected = readGoldenModel(golden);

  it('is near fp32, and another model as far as datastores are concerned', async () => {
    const checkpoint = join(golden, 'model.zip.pt');
    const exact = await open(checkpoint);
    const rounded = await open(checkpoint, { precision: 'int8' });
    expect([exact.info.precision, rounded.info.precision]).toEqual(['fp32', 'int8']);
    expect(rounded.info.fingerprint).toMatch(/^[0-9a-f]{64}$/);
    expect(rounded.info.fingerprint).not.toBe(exact.info.fingerprint);
    const [a, b] = [await exact.run(expected.batch), await rounded.run(expected.batch)];
    const error = relativeError(b.keys, a.keys);
    // Measured: 0.8 %. Were nothing rounded, it would be 0.
    expect(error).toBeGreaterThan(1e-4);
    expect(error).toBeLessThan(0.02);
    expect(maxDifference(b.logProbs!, a.logProbs!)).toBeLessThan(0.2);
    await Promise.all([exact.close(), rounded.close()]);
  });

  it('rounds attention and feed-forward layers', async () => {
    for (const path of ['layers.0.final_layer_norm', 'layers.0.fc1', 'layers.0']) {
      const model = await open(join(golden, 'model.zip.pt'), {
        purpose: 'keys',
        keysDtype: 'fp32',
        precision: 'int8',
        moduleToCapture: path,
      });
      const { keys } = await model.run(expected.batch);
      const error = relativeError(keys, activationsAt(expected, path, expected.activations.get(path)!));
      expect(error, path).toBeGreaterThan(1e-4);
      expect(error, path).toBeLessThan(0.03);
      await model.close();
    }
  });
});

describe('a model folder that is not written to', () => {
  it('serves every module: graphs are made in memory', async () => {
    const checkpoint = join(golden, 'model.zip.pt');
    const first = await open(checkpoint);
    await first.close();
    const folder = join(modelCache, 'copy');
    await cp(first.info.folder, folder, { recursive: true });
    const before = await readdir(folder);
    const model = await open(folder, { purpose: 'keys', moduleToCapture: 'layers[0].fc1' });
    expect(model.info).toMatchObject({ keyDimension: 96, moduleToCapture: 'layers[0].fc1' });
    await model.close();
    expect(await readdir(folder)).toEqual(before);
  });
});

describe.skipIf(fixturesFolder === undefined)('precision int8, on a trained model', () => {
  it('changes the perplexity by less than 0.5 %', async () => {
    const run = readRuns('pipeline', 'index.json')['lm/none_256'];
    const exact = await open(fixture('model', 'model.zip.pt'));
    const rounded = await open(fixture('model', 'model.zip.pt'), { precision: 'int8' });
    let tokens = 0;
    const sums = [0, 0];
    const errors: number[] = [];
    let largest = 0;
    for (const batch of await planOfRun('corpus/data-bin', run.command, exact)) {
      const positions = scoredPositions(batch);
      const results = await Promise.all([exact, rounded].map((model) => model.run({ ...batch, positions })));
      results.forEach(({ logProbs }, i) => (sums[i] += logProbs!.reduce((sum, x) => sum + x, 0)));
      errors.push(relativeError(results[1].keys, results[0].keys));
      largest = Math.max(largest, maxDifference(results[1].logProbs!, results[0].logProbs!));
      tokens += positions.length;
    }
    await Promise.all([exact.close(), rounded.close()]);
    const [before, after] = sums.map((sum) => Math.exp(-sum / tokens));
    const error = errors.reduce((sum, x) => sum + x, 0) / errors.length;
    const measured = { before, after, error, largest, tokens };
    expect(Math.abs(after / before - 1), JSON.stringify(measured)).toBeLessThan(0.005);
    expect(error, JSON.stringify(measured)).toBeLessThan(0.03);
    if (process.env['KNN_LM_PRINT'] !== undefined) process.stdout.write(`${JSON.stringify(measured)}\n`);
  });
});
