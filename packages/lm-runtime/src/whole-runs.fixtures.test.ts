import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { numberFromFloat16 } from '@knn-lm/common';
import { fixture, fixturesFolder, readNpy } from '@knn-lm/testing';
import { maxDifference } from '../test/golden-model.js';
import { planOfRun, readRuns, scoredPositions } from '../test/python-runs.js';
import { LanguageModel } from './language-model.js';

/** Of one token's natural log-probability (measured: 8.6e-6 at most). */
const tokenTolerance = 3e-5;

/** Of the mean loss in bits (measured: 1.4e-6; the Python system adds in single precision). */
const lossTolerance = 1e-5;

interface Evaluation {
  readonly tokens: number[];
  readonly logProbs: number[];
}

async function evaluate(model: LanguageModel, dataBin: string, command: string): Promise<Evaluation> {
  const tokens: number[] = [];
  const logProbs: number[] = [];
  for (const batch of await planOfRun(dataBin, command, model)) {
    const positions = scoredPositions(batch);
    const result = await model.run({ ...batch, positions });
    logProbs.push(...result.logProbs!);
    tokens.push(...Array.from(positions, (at) => batch.targets[at]));
  }
  return { tokens, logProbs };
}

function lossBase2(logProbs: readonly number[]): number {
  return -logProbs.reduce((sum, x) => sum + x, 0) / logProbs.length / Math.LN2;
}

const modelCache = await mkdtemp(join(tmpdir(), 'knn-lm-runs-'));

describe.skipIf(fixturesFolder === undefined)('fairseq-eval-lm', () => {
  const runs =
    fixturesFolder === undefined
      ? []
      : [
          ...['none_256', 'complete_256', 'eos', 'complete_doc', 'none_256_cw128', 'none_256_cw128_sb'],
          ...['complete_256_cw192', 'none_512_cw384', 'batch_size3', 'none_512_override_maxpos'],
        ];

  it.each(runs)('pipeline/lm/%s', async (name) => {
    const run = readRuns('pipeline', 'index.json')[`lm/${name}`];
    const override = /'max_target_positions':(\d+)/.exec(run.command)?.[1];
    const model = await LanguageModel.open(fixture('model', 'model.zip.pt'), {
      purpose: 'score',
      modelCache,
      threads: 2,
      ...(override === undefined ? {} : { modelOverrides: { max_target_positions: Number(override) } }),
    });
    const { tokens, logProbs } = await evaluate(model, 'corpus/data-bin', run.command);
    await model.close();
    expect(tokens).toEqual([...readNpy(fixture('pipeline', 'lm', name, 'tokens.npy')).data]);
    const golden = readNpy(fixture('pipeline', 'lm', name, 'logp.npy')).data as Float32Array;
    expect(maxDifference(logProbs, golden)).toBeLessThan(tokenTolerance);
    expect(Math.abs(lossBase2(logProbs) - run.loss_base2!)).toBeLessThan(lossTolerance);
  });

  const tinyRuns = fixturesFolder === undefined ? [] : Object.entries(readRuns('tiny_models', 'index.json'));

  it.each(tinyRuns)('tiny_models/%s', async (name, run) => {
    const file = /tiny_models\/(\S+\.pt)/.exec(run.command)![1];
    const model = await LanguageModel.open(fixture('tiny_models', ...file.split('/')), {
      purpose: 'score',
      modelCache,
      threads: 2,
    });
    const { tokens, logProbs } = await evaluate(model, 'tiny_data/data-bin', run.command);
    await model.close();
    expect(tokens).toEqual([...readNpy(fixture('tiny_models', name, 'tokens.npy')).data]);
    const golden = readNpy(fixture('tiny_models', name, 'logp.npy')).data as Float32Array;
    expect(maxDifference(logProbs, golden)).toBeLessThan(tokenTolerance);
    expect(Math.abs(lossBase2(logProbs) - run.loss_base2!)).toBeLessThan(lossTolerance);
  });
});

/** Half-precision patterns as integers in the order of their values, so that neighbours differ by one. */
function orderOfHalf(pattern: number): number {
  return pattern & 0x8000 ? -(pattern & 0x7fff) : pattern;
}

/** Below this the steps of half precision are finer than the error of single-precision sums of elements near 1. */
const smallKey = 0.01;

describe.skipIf(fixturesFolder === undefined)('generate_lm_datastore', () => {
  it('pipeline/datastore/main: keys within one half-precision step', async () => {
    const run = readRuns('pipeline', 'index.json')['datastore/main'];
    const bytes = readFileSync(fixture('pipeline', 'datastore', 'main', 'keys.npy'));
    const golden = new Uint16Array(new Uint8Array(bytes).buffer);
    const model = await LanguageModel.open(fixture('model', 'model.zip.pt'), {
      purpose: 'keys',
      modelCache,
      threads: 2,
    });
    const found: Uint16Array[] = [];
    for (const batch of await planOfRun('corpus/data-bin', run.command, model)) {
      // The first block has no context, and the last is short: the Python system leaves both out.
      const isWhole = (row: number): boolean => batch.starts[row] === 128 && batch.lengths[row] === 256;
      const positions = scoredPositions(batch).filter((at) => isWhole(Math.floor(at / batch.width)));
      found.push((await model.run({ ...batch, positions })).keys as Uint16Array);
    }
    await model.close();
    let at = 0;
    let equal = 0;
    let largestStep = 0;
    let largestSmallDifference = 0;
    for (const key of found.flatMap((keys) => [...keys])) {
      const expected = golden[at++];
      if (key === expected) {
        equal++;
      } else if (Math.abs(numberFromFloat16(expected)) < smallKey) {
        const difference = Math.abs(numberFromFloat16(key) - numberFromFloat16(expected));
        largestSmallDifference = Math.max(largestSmallDifference, difference);
      } else {
        largestStep = Math.max(largestStep, Math.abs(orderOfHalf(key) - orderOfHalf(expected)));
      }
    }
    expect(at).toBeGreaterThanOrEqual(golden.length - 14 * model.info.keyDimension);
    // Measured: 99.75 % equal, the others one step away; near zero at most 8e-6 away.
    expect(equal / at).toBeGreaterThan(0.995);
    expect(largestStep).toBe(1);
    expect(largestSmallDifference).toBeLessThan(2e-5);
  });
});
