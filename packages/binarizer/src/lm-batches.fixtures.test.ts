import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fixture, fixturesFolder, readNpy, readNpz } from '@knn-lm/testing';
import { openDataBin } from './open-dataset.js';
import { planLmBatches, type LmBatchPlan } from './lm-batches.js';
import type { LmBatchOptions } from './lm-batch-options.js';
import type { BreakMode } from './token-blocks.js';

/** One run of the Python system: its command and what it logged. */
interface Run {
  readonly command: string;
  readonly exit: number;
  readonly log: readonly string[];
}

/** The model of these runs has 256 positions; the small ones 64. */
const corpusPositions = 256;

function optionsOf(command: string, maxPositions: number): LmBatchOptions {
  const value = (flag: string) => new RegExp(`${flag} (\\S+)`).exec(command)?.[1];
  const number = (flag: string) => (value(flag) === undefined ? undefined : Number(value(flag)));
  const override = /'max_target_positions':(\d+)/.exec(command)?.[1];
  return {
    breakMode: (value('--sample-break-mode') ?? 'none') as BreakMode,
    tokensPerSample: number('--tokens-per-sample') ?? 1024,
    contextWindow: number('--context-window') ?? 0,
    maxTokens: number('--max-tokens'),
    batchSize: number('--batch-size'),
    maxPositions: override === undefined ? maxPositions : Number(override),
  };
}

async function planOf(folder: string, command: string, maxPositions: number): Promise<LmBatchPlan> {
  const split = /--gen-subset (\S+)/.exec(command)?.[1] ?? 'test';
  const { dictionary, dataset } = await openDataBin(fixture(folder), split);
  return planLmBatches(dataset, dictionary, optionsOf(command, maxPositions));
}

/** Targets and sample ids in the order of evaluation, as the Python system scored them. */
function scored(plan: LmBatchPlan) {
  const tokens: number[] = [];
  const sampleIds: number[] = [];
  for (const batch of plan) {
    for (let row = 0; row < batch.rows; row++) {
      for (let column = batch.starts[row]; column < batch.lengths[row]; column++) {
        tokens.push(batch.targets[row * batch.width + column]);
        sampleIds.push(batch.sampleIds[row]);
      }
    }
  }
  return { tokens, sampleIds };
}

function checkLog(plan: LmBatchPlan, log: readonly string[]): void {
  const text = log.join('\n');
  expect(plan.sampleCount).toBe(Number(/ (\d+) examples$/m.exec(text.replace(/.*loaded.*\n/, ''))?.[1]));
  const tokens = /Evaluated ([\d,]+) tokens/.exec(text)?.[1];
  expect(plan.targetCount).toBe(Number(tokens?.replaceAll(',', '')));
  const skipped = /(\d+) samples have invalid sizes.*first few sample ids=\[([\d, ]+)\]/.exec(text);
  expect(plan.skippedSampleIds.length).toBe(Number(skipped?.[1] ?? 0));
  if (skipped !== null)
    expect(plan.skippedSampleIds.slice(0, 10)).toEqual(skipped[2].split(', ').map(Number));
}

function hasFile(...parts: string[]): boolean {
  try {
    readFileSync(fixture(...parts));
    return true;
  } catch {
    return false;
  }
}

describe.skipIf(fixturesFolder === undefined)('planLmBatches, against the Python system', () => {
  const runs = (file: string[]): [string, Run][] =>
    fixturesFolder === undefined
      ? []
      : Object.entries(JSON.parse(readFileSync(fixture(...file), 'utf8')) as Record<string, Run>);

  // A shard has other batches here, and several loader workers break the context there.
  const ours = runs(['pipeline', 'index.json']).filter(
    ([name, run]) => run.exit === 0 && /^(lm|knn)\//.test(name) && !/shard|workers2/.test(name),
  );

  it.each(ours)('%s', async (name, run) => {
    const plan = await planOf('corpus/data-bin', run.command, corpusPositions);
    checkLog(plan, run.log);
    const { tokens, sampleIds } = scored(plan);
    if (hasFile('pipeline', name, 'tokens.npy')) {
      expect(tokens).toEqual(Array.from(readNpy(fixture('pipeline', name, 'tokens.npy')).data, Number));
      expect(sampleIds).toEqual(Array.from(readNpy(fixture('pipeline', name, 'sample_id.npy')).data, Number));
    }
    if (hasFile('pipeline', name, 'start_indices.npy')) {
      const starts = [...plan].flatMap((batch) => Array.from(batch.starts));
      const golden = Array.from(readNpy(fixture('pipeline', name, 'start_indices.npy')).data, Number);
      expect(starts).toEqual(golden);
    }
    for (let i = 0; i < 4 && hasFile('pipeline', name, `batch${i}.npz`); i++) {
      const golden = readNpz(fixture('pipeline', name, `batch${i}.npz`));
      const batch = plan.batch(i);
      expect([batch.rows, batch.width]).toEqual(golden.get('src_tokens')?.shape);
      for (const [ids, array] of [
        [batch.tokens, 'src_tokens'],
        [batch.targets, 'target'],
        [batch.starts, 'start_indices'],
      ] as const) {
        expect(Array.from(ids)).toEqual(Array.from(golden.get(array)?.data ?? [], Number));
      }
    }
  });

  it.each(runs(['tiny_models', 'index.json']).filter(([name]) => /eval_lm/.test(name)))(
    'tiny_models/%s',
    async (name, run) => {
      const plan = await planOf('tiny_data/data-bin', run.command, 64);
      checkLog(plan, run.log);
      const { tokens, sampleIds } = scored(plan);
      expect(tokens).toEqual(Array.from(readNpy(fixture('tiny_models', name, 'tokens.npy')).data, Number));
      expect(sampleIds).toEqual(
        Array.from(readNpy(fixture('tiny_models', name, 'sample_id.npy')).data, Number),
      );
    },
  );

  it('refuses a sample over max_tokens with the words of the Python system', async () => {
    const [, run] = runs(['pipeline', 'index.json']).find(([name]) => name.endsWith('maxtok64_too_long')) ?? [
      '',
      undefined,
    ];
    expect(run?.log.at(-1)).toBe('AssertionError: Sentences lengths should not exceed max_tokens=64');
    await expect(planOf('corpus/data-bin', run?.command ?? '', corpusPositions)).rejects.toMatchObject({
      code: 'MAX_TOKENS_EXCEEDED',
      message: expect.stringContaining('Sentences lengths should not exceed max_tokens=64') as string,
    });
  });

  it('puts the rows of a datastore into the order of the Python system', async () => {
    const index = runs(['pipeline', 'index.json']);
    for (const name of ['main', 'cw192', 'no_context_window_bs1']) {
      const run = index.find(([key]) => key === `datastore/${name}`)?.[1];
      const plan = await planOf('corpus/data-bin', run?.command ?? '', corpusPositions);
      const values = new BigInt64Array(
        Uint8Array.from(readFileSync(fixture('pipeline', 'datastore', name, 'values.npy'))).buffer,
      );
      const { tokens } = scored(plan);
      // The samples without their full context are left out of a datastore.
      const contextWindow = Number(/--context-window (\d+)/.exec(run?.command ?? '')?.[1] ?? 0);
      const skipped = Math.ceil(contextWindow / plan.blockSize) * plan.blockSize;
      const kept = name.startsWith('no_context')
        ? tokens.slice(-values.length)
        : tokens.slice(skipped, skipped + values.length);
      expect(kept).toEqual(Array.from(values, Number));
    }
  });
});
