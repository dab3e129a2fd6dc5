import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { repositoryFile } from '@knn-lm/testing';
import { mergedDecoder } from '../test/exports/merged-decoder.js';
import { exportBatch, exportPath, readExport } from '../test/exports/read-export.js';
import { maxDifference, readGoldenModel } from '../test/golden-model.js';
import type { Generation } from './generation.js';
import { GenerationModel, type GenerationModelOptions } from './generation-model.js';
import { LanguageModel } from './language-model.js';

const golden = repositoryFile('packages', 'lm-runtime', 'test', 'golden', 'h_wiki103_arch');
const checkpoint = join(golden, 'model.zip.pt');
const work = await mkdtemp(join(tmpdir(), 'knn-lm-generation-'));
const { batch, targetLogProbs } = readGoldenModel(golden);
const first = batch.tokens.subarray(0, batch.width);

const open = (path = checkpoint, options: GenerationModelOptions = {}): Promise<GenerationModel> =>
  GenerationModel.open(path, { modelCache: work, threads: 1, ...options });

const tolerance = 2e-5;

/** Log-probability of each token after the first `prefix` ones, step by step. */
async function scoresOf(
  generation: Generation,
  tokens: ArrayLike<number>,
  prefix: number,
): Promise<number[]> {
  const scores: number[] = [];
  for (let i = prefix; i < tokens.length; i++) {
    if (i > prefix) await generation.advance(tokens[i - 1]);
    scores.push(generation.logProbs[tokens[i]]);
  }
  return scores;
}

describe('a fairseq model, step by step', () => {
  let model: GenerationModel;
  beforeAll(async () => {
    model = await open();
  });
  afterAll(() => model.close());

  it('gives the log-probabilities of fairseq, for several texts at once', async () => {
    expect(model.info).toMatchObject({ kind: 'fairseq', keyDimension: 48, vocabSize: 400 });
    expect(model).toMatchObject({ contextLength: 64, hasCache: true });
    const rows = Array.from({ length: batch.rows }, (_, row) => {
      const tokens = batch.tokens.subarray(row * batch.width, (row + 1) * batch.width);
      return tokens.subarray(0, tokens.includes(1) ? tokens.indexOf(1) : tokens.length);
    });
    const scores = await Promise.all(
      rows.map(async (tokens) => scoresOf(await model.start(tokens.slice(0, 4)), tokens, 4)),
    );
    rows.forEach((tokens, row) => {
      const at = row * batch.width;
      const expected = targetLogProbs.data.slice(at + 3, at + tokens.length - 1);
      expect(maxDifference(scores[row], Array.from(expected, Number))).toBeLessThan(1e-5);
    });
  });

  it('sums to one, and gives a distribution of its own after each token', async () => {
    const generation = await model.start(first.slice(0, 3));
    const before = generation.logProbs;
    const copy = before.slice();
    await generation.advance(7);
    expect(before).toEqual(copy);
    expect(generation.logProbs).not.toEqual(before);
    for (const logProbs of [before, generation.logProbs]) {
      expect(logProbs.reduce((sum, x) => sum + Math.exp(x), 0)).toBeCloseTo(1, 5);
    }
    generation.close();
    await expect(generation.advance(7)).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it.each([
    [[], 'PREFIX_EMPTY'],
    [[2, 400], 'TOKEN_OUT_OF_RANGE'],
    [[2, -1], 'TOKEN_OUT_OF_RANGE'],
    [[2, 1, 5], 'PADDING_INSIDE'],
  ])('refuses %j', async (prefix, code) => {
    await expect(model.start(Int32Array.from(prefix))).rejects.toMatchObject({ code });
  });

  it('goes on after a token that it refused, and refuses two at once', async () => {
    const generation = await model.start(first.slice(0, 3));
    await expect(generation.advance(1)).rejects.toMatchObject({ code: 'PADDING_INSIDE' });
    const going = generation.advance(first[3]);
    await expect(generation.advance(first[4])).rejects.toMatchObject({ code: 'GENERATION_BUSY' });
    await going;
    const other = await model.start(first.slice(0, 4));
    expect(maxDifference(generation.logProbs, other.logProbs)).toBeLessThan(1e-5);
    expect(generation.contextTokens).toBe(4);
  });

  it('stops on a signal, of the text or of the model', async () => {
    const controller = new AbortController();
    const generation = await model.start(first.slice(0, 3), { signal: controller.signal });
    controller.abort();
    await expect(generation.advance(5)).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(generation.advance(5)).rejects.toMatchObject({ code: 'CLOSED' });
    const whole = new AbortController();
    const other = await open(checkpoint, { signal: whole.signal });
    const started = await other.start(first.slice(0, 3));
    whole.abort();
    await expect(started.advance(5)).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(other.start(first.slice(0, 3))).rejects.toMatchObject({ code: 'CANCELLED' });
    await other.close();
    await expect(other.start(first.slice(0, 3))).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('forgets the oldest quarter of a context that is full', async () => {
    const short = await open(checkpoint, { contextLength: 8 });
    const generation = await short.start(first.slice(0, 8));
    await generation.advance(first[8]);
    expect(generation.contextTokens).toBe(6);
    const fresh = await short.start(first.slice(3, 9));
    expect(maxDifference(generation.logProbs, fresh.logProbs)).toBeLessThan(1e-5);
    await generation.advance(first[9]);
    await fresh.advance(first[9]);
    expect(maxDifference(generation.logProbs, fresh.logProbs)).toBeLessThan(1e-5);
    const long = await short.start(first.slice(0, 20));
    expect(long.contextTokens).toBe(6);
    await short.close();
  });

  it('reads of a very long text what fits, and is closed with its model', async () => {
    const other = await open();
    const long = Int32Array.from({ length: 300_000 }, (_, i) => 4 + (i % 390));
    const generation = await other.start(long);
    expect(generation.contextTokens).toBe(48);
    await other.close();
    await expect(generation.advance(5)).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('takes a module, 8-bit arithmetic, and no context of no tokens', async () => {
    const other = await open(checkpoint, { moduleToCapture: 'layers[0].fc1', precision: 'int8' });
    const { hidden } = await other.start(first.slice(0, 3));
    expect(hidden).toHaveLength(other.info.keyDimension);
    expect(other.info).toMatchObject({ moduleToCapture: 'layers[0].fc1', precision: 'int8' });
    await other.close();
    await expect(open(checkpoint, { contextLength: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});

describe('an exported model, step by step', () => {
  it.each([
    ['llama.past.opset13', true],
    ['llama.past.opset17', true],
    ['llama.first.opset17', false],
    ['gpt2.mask.opset14', false],
    ['plain.int32.opset17', false],
  ])('%s: with the scores of torch (keeps keys and values: %s)', async (name, hasCache) => {
    const exported = readExport(name);
    const model = await open(exportPath(name));
    expect(model.hasCache).toBe(hasCache);
    const scoring = await LanguageModel.open(exportPath(name), { purpose: 'score', threads: 1 });
    const { keys } = await scoring.run(exportBatch(exported));
    for (const [row, ids] of exported.ids.entries()) {
      const generation = await model.start(Int32Array.from(ids.slice(0, 2)));
      const size = generation.hidden.length;
      const query = (row * (ids.length - 1) + 1) * size;
      expect(maxDifference(generation.hidden, keys.subarray(query, query + size))).toBeLessThan(tolerance);
      const scores = await scoresOf(generation, ids, 2);
      expect(maxDifference(scores, exported.targetLogProbs[row].slice(1))).toBeLessThan(tolerance);
    }
    await Promise.all([model.close(), scoring.close()]);
  });

  it('gives distributions over a dictionary', async () => {
    const exported = readExport('llama.past.opset17');
    // <s>, </s> and entries 4 and 65 are the same token of the model; texts have </s> for it.
    const modelTokenIds = Int32Array.from({ length: 66 }, (_, id) =>
      id === 1 || id === 3 ? -1 : id < 4 || id === 65 ? 3 : ((id - 4) * 7 + 3) % 61,
    );
    const [ids] = exported.ids.map((row) => row.map((id) => (id === 3 ? 2 : modelTokenIds.indexOf(id))));
    const model = await open(exportPath('llama.past.opset17'), { modelTokenIds });
    const generation = await model.start(Int32Array.from(ids.slice(0, 2)));
    const { logProbs } = generation;
    expect(logProbs).toHaveLength(66);
    expect([0, 1, 3, 4, 65].map((id) => logProbs[id])).toEqual(Array(5).fill(-Infinity));
    expect(logProbs[2]).toBeGreaterThan(-Infinity);
    expect(logProbs.reduce((sum, x) => sum + Math.exp(x), 0)).toBeCloseTo(1, 5);
    const scores = await scoresOf(generation, ids, 2);
    expect(maxDifference(scores, exported.targetLogProbs[0].slice(1))).toBeLessThan(tolerance);
    await expect(generation.advance(3)).rejects.toMatchObject({ code: 'TOKEN_WITHOUT_MODEL_ID' });
    await model.close();
  });
});

describe('a merged decoder', () => {
  const folder = join(work, 'merged');
  const exported = readExport('llama.past.opset17');
  beforeAll(async () => {
    await mkdir(folder);
    await writeFile(join(folder, 'decoder_model_merged.onnx'), await mergedDecoder());
    await writeFile(join(folder, 'config.json'), '{"max_position_embeddings": 24}');
  });

  it('is scored, and its modules captured', async () => {
    const model = await LanguageModel.open(folder, {
      ...{ purpose: 'score', threads: 1, moduleToCapture: 'model.layers[-1].mlp' },
    });
    const { keys, logProbs } = await model.run(exportBatch(exported));
    expect(maxDifference(logProbs!, exported.targetLogProbs.flat())).toBeLessThan(tolerance);
    const expected = exported.modules['model.layers.1.mlp'].flatMap((row) => row.slice(0, -1)).flat();
    expect(maxDifference(keys, expected)).toBeLessThan(tolerance);
    await model.close();
  });

  it('keeps keys and values', async () => {
    const model = await open(folder);
    expect(model).toMatchObject({ hasCache: true, contextLength: 24 });
    const [ids] = exported.ids;
    const scores = await scoresOf(await model.start(Int32Array.from(ids.slice(0, 2))), ids, 2);
    expect(maxDifference(scores, exported.targetLogProbs[0].slice(1))).toBeLessThan(tolerance);
    await expect(open(folder, { contextLength: 25 })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await model.close();
  });
});
