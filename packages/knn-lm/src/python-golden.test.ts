import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readNpy } from '@knn-lm/testing';
import { describe, expect, it } from 'vitest';
import { LossSum } from './evaluate.js';
import { interpolate, knnProbability, type Neighbors } from './probability.js';

const golden = join(import.meta.dirname, '..', 'test', 'golden');
const datastoreValues = new BigInt64Array(
  new Uint8Array(readFileSync(join(golden, 'datastore-values.raw'))).buffer,
);
const lambda = 0.25;

/** The Python system works in float32: its softmax over 1,024 distances of several hundred is off by about 1e-4 relative. */
const relativeTolerance = 2e-4;

describe.each([
  { run: 'flat_k64_l0.25', lossBase2: 8.398261310536094 },
  { run: 'ivfpq_k1024_nprobe1_recompute', lossBase2: 8.402194862758082 },
])('the Python system: $run', ({ run, lossBase2 }) => {
  const array = (name: string) => readNpy(join(golden, run, `${name}.npy`));
  const tokens = array('tokens').data as Int32Array;
  const lmLogProbs = array('lm_logp').data as Float32Array;
  const knnProbs = array('knn_prob').data as Float32Array;
  const logProbs = array('logp').data as Float32Array;

  it('agrees on p_kNN, missing neighbours included', () => {
    const ids = array('search_ids');
    const distances = array('search_distance_used');
    const [queries, k] = ids.shape;
    // numpy: values[-1] is the last entry.
    const values = Int32Array.from(ids.data as Int32Array, (id) => Number(datastoreValues.at(id)));
    const neighbors: Neighbors = { k, distances: distances.data as Float32Array, values };
    for (let query = 0; query < queries; query++) {
      const probability = knnProbability(neighbors, query, tokens[query], 1);
      expect(Math.abs(probability - knnProbs[query])).toBeLessThanOrEqual(
        1e-7 + relativeTolerance * knnProbs[query],
      );
    }
  });

  it('agrees on the mixture of every token and on the loss', () => {
    const loss = new LossSum();
    for (let i = 0; i < tokens.length; i++) {
      const mixed = interpolate(lmLogProbs[i], knnProbs[i], lambda);
      expect(Math.abs(mixed - logProbs[i])).toBeLessThan(5e-6);
      loss.add(mixed);
    }
    expect(loss.result().tokenCount).toBe(6374);
    // Their sum runs in float32, ours in float64.
    expect(Math.abs(loss.result().lossBase2 - lossBase2)).toBeLessThan(1e-5);
  });
});
