import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fixture, fixturesFolder, readNpy } from '@knn-lm/testing';
import { activationsAt, maxDifference, readGoldenModel } from '../test/golden-model.js';
import { GenerationModel } from './generation-model.js';
import { LanguageModel } from './language-model.js';

/** Every architecture that fairseq's transformer language models have, in miniature. */
const models = [
  'a_plain_shared_learned',
  'b_postnorm_adaptive_tied',
  'c_adaptive_untied',
  'd_inout_dims',
  'e_gelu_noscale_nofinalnorm',
  'f_tiedw_untiedproj_factor2',
  'g_adaptive_softmax_only',
  'h_wiki103_arch',
  'i_gpt_arch_lnemb_bos',
  'j_nopos_geluaccurate',
];

/** Measured: 2.9e-6 at most. */
const tolerance = 1e-5;

describe.skipIf(fixturesFolder === undefined)('step by step, against fairseq', async () => {
  const modelCache = await mkdtemp(join(tmpdir(), 'knn-lm-steps-'));

  it.each(models)('%s: the distribution at every position, and the query', async (name) => {
    const path = fixture('tiny_models', name, 'model.zip.pt');
    const golden = readGoldenModel(fixture('tiny_models', name, 'golden'));
    const { width, tokens, positions } = golden.batch;
    const { data, shape } = readNpy(fixture('tiny_models', name, 'golden', 'logprobs.npy'));
    const expected = Float32Array.from(data, Number);
    const model = await GenerationModel.open(path, { modelCache, threads: 1 });
    expect(model.hasCache).toBe(true);
    const activations = golden.activations.get(model.info.moduleToCapture.replace(/\[(\d+)\]/g, '.$1'))!;
    const hidden = activationsAt(golden, model.info.moduleToCapture, activations);
    const size = model.info.keyDimension;
    const row = tokens.subarray(0, positions.filter((at) => at < width).length);
    const prefix = 5;
    const generation = await model.start(row.slice(0, prefix));
    for (let at = prefix - 1; ; at++) {
      const all = expected.subarray(at * shape[2], (at + 1) * shape[2]);
      expect(maxDifference(generation.logProbs, all)).toBeLessThan(tolerance);
      const query = hidden.subarray(at * size, (at + 1) * size);
      expect(maxDifference(generation.hidden, query)).toBeLessThan(tolerance);
      if (at + 1 === row.length) break;
      await generation.advance(row[at + 1]);
    }
    await model.close();
  });

  it('agrees with the scoring graph on a trained model, over many runs of a prefix', async () => {
    const path = fixture('model', 'model.zip.pt');
    const tokens = Int32Array.from({ length: 700 }, (_, i) => (i === 0 ? 2 : 4 + ((i * 7919) % 21_000)));
    const targets = Int32Array.from(tokens, (_, i) => tokens[i + 1] ?? 2);
    const positions = Int32Array.of(598, 599, 600, 698, 699);
    const scoring = await LanguageModel.open(path, { purpose: 'score', modelCache });
    const { logProbs } = await scoring.run({ rows: 1, width: 700, tokens, targets, positions });
    const model = await GenerationModel.open(path, { modelCache, contextLength: 700 });
    const generation = await model.start(tokens.subarray(0, 599));
    const found: number[] = [];
    for (let at = 598; at < 700; at++) {
      if (at > 598) await generation.advance(tokens[at]);
      if (positions.includes(at)) found.push(generation.logProbs[targets[at]]);
    }
    expect(maxDifference(found, logProbs!)).toBeLessThan(2e-5);
    await Promise.all([scoring.close(), model.close()]);
  });
});
