// The Python system's losses for nine combinations of k and lambda, one run each there, against one pass here.
import { readFileSync } from 'node:fs';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openDataBin, planLmBatches } from '@knn-lm/binarizer';
import { Datastore } from '@knn-lm/datastore';
import { buildIndex, KnnIndex } from '@knn-lm/index';
import { LanguageModel } from '@knn-lm/lm-runtime';
import { fixture, fixturesFolder } from '@knn-lm/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Retriever } from './retriever.js';
import { tune } from './tune.js';

describe.skipIf(fixturesFolder === undefined)('the Python system (needs the fixtures folder)', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'knn-lm-tune-'));
    for (const file of ['keys.npy', 'values.npy'])
      await copyFile(fixture('pipeline/datastore/main', file), join(folder, file));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('has the losses that one pass gives for all combinations', async () => {
    const { dictionary, dataset } = await openDataBin(fixture('corpus/data-bin'), 'test1');
    const model = await LanguageModel.open(fixture('model/model.zip.pt'), {
      purpose: 'score',
      modelCache: join(folder, 'cache'),
    });
    const plan = planLmBatches(dataset, dictionary, {
      breakMode: 'complete',
      tokensPerSample: 256,
      contextWindow: 192,
      maxTokens: 256,
      maxPositions: model.info.maxPositions,
    });
    const datastore = await Datastore.open(folder, { rows: 20238, dimension: 256, dtype: 'fp16' });
    await buildIndex(datastore, { type: 'IndexFlatL2' });
    const index = await KnnIndex.open(join(folder, 'faiss.index'));
    const grid = { lambdas: [0.1, 0.25, 0.5], temperatures: [1], ks: [8, 64, 1024] };
    const { results } = await tune(model, plan, new Retriever(index, datastore, { k: 1024 }), grid);

    const runs = JSON.parse(readFileSync(fixture('pipeline/index.json'), 'utf8')) as Record<
      string,
      { loss_base2: number }
    >;
    expect(results).toHaveLength(9);
    for (const { k, lambda, lossBase2, tokenCount } of results) {
      const name = `knn/flat_k${k}_l${lambda}`;
      expect(tokenCount).toBe(6374);
      expect(Math.abs(lossBase2 - runs[name].loss_base2), name).toBeLessThan(0.0005);
    }
    index.close();
    datastore.close();
    dataset.close();
    await model.close();
  });
});
