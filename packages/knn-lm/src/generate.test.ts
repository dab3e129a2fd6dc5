import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Datastore, DatastoreWriter } from '@knn-lm/datastore';
import { buildIndex, KnnIndex } from '@knn-lm/index';
import { GenerationModel, LanguageModel } from '@knn-lm/lm-runtime';
import { repositoryFile } from '@knn-lm/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { generate, type GenerateOptions, type GeneratedToken } from './generate.js';
import { interpolate, knnProbability } from './probability.js';
import { Retriever } from './retriever.js';

const checkpoint = repositoryFile(
  'packages',
  'lm-runtime',
  'test',
  'golden',
  'h_wiki103_arch',
  'model.zip.pt',
);
const work = await mkdtemp(join(tmpdir(), 'knn-lm-generate-'));
const options = { modelCache: join(work, 'cache'), threads: 1 };
const k = 16;
/** Squared distances between this model's hidden states are some hundreds. */
const temperature = 20;

/** A text that the model has never seen, with patterns in it. */
const text = Int32Array.from({ length: 256 }, (_, i) => (i % 16 === 0 ? 2 : 10 + ((i * i + (i >> 5)) % 37)));
const prompt = text.slice(0, 6);

let model: GenerationModel;
let scoring: LanguageModel;
let datastore: Datastore;
let index: KnnIndex;
let retriever: Retriever;

async function collect(settings: GenerateOptions = {}, from = prompt): Promise<GeneratedToken[]> {
  const tokens: GeneratedToken[] = [];
  for await (const token of generate(model, from, { maxTokens: 20, ...settings })) tokens.push(token);
  return tokens;
}

const idsOf = (tokens: readonly GeneratedToken[]): number[] => tokens.map(({ token }) => token);

/** Every position of some tokens as a batch of one row. */
function batchOf(tokens: Int32Array) {
  const width = tokens.length - 1;
  const positions = Int32Array.from({ length: width }, (_, i) => i);
  return { rows: 1, width, tokens: tokens.slice(0, -1), targets: tokens.slice(1), positions };
}

beforeAll(async () => {
  model = await GenerationModel.open(checkpoint, options);
  scoring = await LanguageModel.open(checkpoint, { purpose: 'score', ...options });
  const batch = batchOf(text.slice(0, 64));
  const { keys } = await scoring.run(batch);
  const folder = join(work, 'store');
  const shape = { rows: 63, dimension: model.info.keyDimension, dtype: 'fp32', identity: {} } as const;
  const writer = await DatastoreWriter.create(folder, shape);
  await writer.append(keys, batch.targets);
  await writer.finish();
  await writer.close();
  datastore = await Datastore.open(folder);
  await buildIndex(datastore, { type: 'IndexFlatL2' });
  index = await KnnIndex.open(join(folder, 'faiss.index'));
  retriever = new Retriever(index, datastore, { k });
});

afterAll(async () => {
  index.close();
  datastore.close();
  await Promise.all([model.close(), scoring.close()]);
});

describe('generate', () => {
  it('gives the probabilities that an evaluation of the text gives', async () => {
    const lambda = 0.4;
    for (const sampling of [undefined, { seed: 5 }]) {
      const tokens = await collect({ retriever, lambda, temperature, sampling });
      const { keys, logProbs } = await scoring.run(batchOf(Int32Array.of(...prompt, ...idsOf(tokens))));
      const neighbors = await retriever.retrieve(keys as Float32Array);
      tokens.forEach(({ token, logProb, lmLogProb, knnProb, ...rest }, i) => {
        const at = prompt.length - 1 + i;
        expect(rest).toMatchObject({ lambda, neighbors: { k } });
        expect(lmLogProb).toBeCloseTo(logProbs![at], 4);
        const expected = knnProbability(neighbors, at, token, temperature);
        expect(knnProb).toBeCloseTo(expected, 4);
        expect(logProb).toBeCloseTo(interpolate(logProbs![at], expected, lambda), 4);
      });
    }
  });

  it('takes the likeliest token, of which the neighbours may be the reason', async () => {
    // The model is sure of <unk>.
    const excludedTokens = [3];
    const tokens = await collect({ retriever, lambda: 0.7, temperature, excludedTokens });
    const alone = await collect({ excludedTokens });
    expect(tokens.some(({ decidedByNeighbors }) => decidedByNeighbors)).toBe(true);
    // Up to the first one that the neighbours decided both are the same text.
    const same = tokens.findIndex(({ decidedByNeighbors }) => decidedByNeighbors);
    expect(idsOf(tokens).slice(0, same)).toEqual(idsOf(alone).slice(0, same));
    expect(tokens[same].lmToken).toBe(alone[same].token);
    for (const { logProb, lmLogProb, token, lmToken } of tokens) {
      expect(logProb).toBeGreaterThanOrEqual(Math.log(0.3) + lmLogProb - 1e-9);
      expect(token === 1 || lmToken === 1).toBe(false);
    }
    for (const token of alone) {
      expect(token).toMatchObject({ decidedByNeighbors: false, knnProb: 0, lambda: 0, neighbors: undefined });
      expect(token.logProb).toBe(token.lmLogProb);
    }
  });

  it('is the model alone with lambda 0, and the neighbours alone with lambda 1', async () => {
    const sampling = { seed: 11 };
    expect(await collect({ retriever, lambda: 0, sampling })).toEqual(await collect({ sampling }));
    for (const { token, knnProb, logProb, neighbors } of await collect({
      retriever,
      lambda: 1,
      temperature,
      sampling,
    })) {
      expect(neighbors!.values).toContain(token);
      expect(logProb).toBeCloseTo(Math.log(knnProb), 9);
    }
  });

  it('is reproducible by its seed', async () => {
    const settings = { retriever, lambda: 0.3, temperature };
    const draw = async (seed: number) => idsOf(await collect({ ...settings, sampling: { seed, topK: 50 } }));
    expect(await draw(1)).toEqual(await draw(1));
    expect(await draw(1)).not.toEqual(await draw(2));
    expect(idsOf(await collect({ ...settings, sampling: { seed: 1, topK: 1 } }))).toEqual(
      idsOf(await collect(settings)),
    );
  });

  it('stops after a token or a number of tokens, and never takes excluded ones', async () => {
    const sampling = { seed: 7, temperature: 5 };
    const [first, second, third] = idsOf(await collect({ sampling }));
    expect(new Set([first, second, third]).size).toBe(3);
    const stopped = await collect({ sampling, stopTokens: [third] });
    expect(idsOf(stopped)).toEqual([first, second, third]);
    expect(await collect({ maxTokens: 0 })).toEqual([]);
    const others = await collect({ sampling, excludedTokens: [second] });
    expect(idsOf(others)).not.toContain(second);
    const [alone] = await collect({
      excludedTokens: Array.from({ length: 400 }, (_, i) => i).filter((i) => i !== 77),
    });
    expect(alone.token).toBe(77);
  });

  it('searches with a function as lambda, and with fewer neighbours than are found', async () => {
    const [token] = await collect({
      retriever,
      lambda: (distance) => 1 / (1 + distance),
      k: 4,
      maxTokens: 1,
    });
    const nearest = Math.min(...token.neighbors!.distances);
    expect(token.lambda).toBeCloseTo(1 / (1 + nearest), 9);
  });

  it('stops on a signal, and when nobody asks for more', async () => {
    const controller = new AbortController();
    const tokens: number[] = [];
    const stopped = (async () => {
      for await (const { token } of generate(model, prompt, { retriever, signal: controller.signal })) {
        tokens.push(token);
        if (tokens.length === 3) controller.abort();
      }
    })();
    await expect(stopped).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(tokens).toHaveLength(3);
    for await (const { token } of generate(model, prompt)) {
      expect(token).toBeGreaterThan(1);
      break;
    }
  });

  it.each<[GenerateOptions, string]>([
    [{ lambda: 1.5 }, 'LAMBDA_RANGE'],
    [{ temperature: 0 }, 'TEMPERATURE_RANGE'],
    [{ maxTokens: -1 }, 'MAX_TOKENS'],
    [{ sampling: { seed: 1, topP: 2 } }, 'SAMPLING_RANGE'],
    [{ excludedTokens: Array.from({ length: 400 }, (_, i) => i) }, 'NOTHING_TO_CHOOSE'],
  ])('refuses %j', async (settings, code) => {
    await expect(collect(settings)).rejects.toMatchObject({ code });
  });
});
