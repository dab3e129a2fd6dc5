import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fixture, fixturesFolder } from '@knn-lm/testing';
import { activationsAt, maxDifference, readGoldenModel } from '../test/golden-model.js';
import { LanguageModel } from './language-model.js';
import { listModules } from './list-modules.js';

/** Every architecture that fairseq's transformer language models have, in miniature, and a trained one. */
const models = [
  'tiny_models/a_plain_shared_learned',
  'tiny_models/b_postnorm_adaptive_tied',
  'tiny_models/c_adaptive_untied',
  'tiny_models/d_inout_dims',
  'tiny_models/e_gelu_noscale_nofinalnorm',
  'tiny_models/f_tiedw_untiedproj_factor2',
  'tiny_models/g_adaptive_softmax_only',
  'tiny_models/h_wiki103_arch',
  'tiny_models/i_gpt_arch_lnemb_bos',
  'tiny_models/j_nopos_geluaccurate',
  'model',
];

/** Measured: 3.8e-6 at most, for log-probabilities down to -15 and features up to 5. */
const tolerance = 1e-5;

/** Of a module's output, relative to its largest element (measured: 1e-6; outputs reach 40). */
const relativeTolerance = 2e-6;

describe.skipIf(fixturesFolder === undefined)('models, against fairseq', async () => {
  const modelCache = await mkdtemp(join(tmpdir(), 'knn-lm-models-'));

  it.each(models)('%s: log-probabilities and features', async (name) => {
    const golden = readGoldenModel(fixture(name, 'golden'));
    const { batch } = golden;
    const path = fixture(name, 'model.zip.pt');
    const featuresModule = (await listModules(path)).at(-1);
    const model = await LanguageModel.open(path, {
      purpose: 'score',
      moduleToCapture: featuresModule,
      modelCache,
      threads: 2,
    });
    const { keys, logProbs } = await model.run(batch);
    const expected = Array.from(batch.positions, (at) => Number(golden.targetLogProbs.data[at]));
    expect(maxDifference(logProbs!, expected)).toBeLessThan(tolerance);
    expect(maxDifference(keys, activationsAt(golden, 'features', golden.features))).toBeLessThan(tolerance);
    await model.close();
  });

  it.each(models)('%s: every module', async (name) => {
    const golden = readGoldenModel(fixture(name, 'golden'));
    for (const [module, array] of golden.activations) {
      const model = await LanguageModel.open(fixture(name, 'model.zip.pt'), {
        purpose: 'keys',
        keysDtype: 'fp32',
        moduleToCapture: module,
        modelCache,
        threads: 2,
      });
      const { keys } = await model.run(golden.batch);
      const expected = activationsAt(golden, module, array);
      const largest = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
      expect(maxDifference(keys, expected) / largest, module).toBeLessThan(relativeTolerance);
      await model.close();
    }
  });

  it('knows that the same model in other files computes the same', async () => {
    const fingerprints = new Set<string>();
    for (const file of ['model.zip.pt', 'model.legacy.pt', 'model.legacy.inproj.pt']) {
      const path = fixture('tiny_models', 'h_wiki103_arch', file);
      const model = await LanguageModel.open(path, { purpose: 'keys', modelCache });
      fingerprints.add(model.info.fingerprint);
      await model.close();
    }
    expect(fingerprints.size).toBe(1);
  });
});
