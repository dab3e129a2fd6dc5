import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Dictionary } from './dictionary.js';
import { planLmBatches } from './lm-batches.js';
import type { LmBatchOptions } from './lm-batch-options.js';
import { openDataset } from './open-dataset.js';
import { breakModes } from './token-blocks.js';
import type { TokenDataset } from './token-dataset.js';
import { writeDataset } from './write-dataset.js';

const PAD = 1;
const EOS = 2;
const dictionary = Dictionary.parse(
  Buffer.from(Array.from({ length: 40 }, (_, i) => `w${i} 1\n`).join('')),
  'dict.txt',
);
const prefix = join(await mkdtemp(join(tmpdir(), 'knn-lm-batches-')), 'test');

async function datasetOf(sentences: readonly number[][]): Promise<TokenDataset> {
  await writeDataset(prefix, sentences, { vocabularySize: dictionary.size });
  return openDataset(prefix, { dictionary });
}

/** What the Python system's collater does with one batch after the other; keeps the carried tokens between calls. */
function collater(options: LmBatchOptions) {
  let carried: number[] = [];
  return (sources: number[][]) => {
    const width = Math.max(...sources.map((source) => source.length)) + options.contextWindow;
    return sources.map((source) => {
      const excess = carried.length + source.filter((id) => id !== PAD).length - options.tokensPerSample;
      if (excess > 0) carried = carried.slice(excess);
      const start = carried.length;
      const row = [...carried, ...source];
      while (row.length < width) row.push(PAD);
      const visible = row.filter((id) => id !== PAD);
      carried = options.contextWindow === 0 ? [] : visible.slice(-options.contextWindow);
      return { start, row: row.slice(0, width) };
    });
  };
}

/** Samples of a text as token ranges, straight from the definition of each mode. */
function samplesOf(sentences: readonly number[][], { breakMode, ...options }: LmBatchOptions) {
  const blockSize = options.tokensPerSample - options.contextWindow;
  const flat = sentences.flat();
  const sentenceStarts = new Set<number>();
  let position = 0;
  const samples: [number, number][] = [];
  let open: [number, number] | undefined;
  const close = () => {
    if (open !== undefined) samples.push(open);
    open = undefined;
  };
  for (const { length } of sentences) {
    sentenceStarts.add(position);
    const end = position + length;
    if (breakMode === 'complete_doc' && length === 1) {
      close();
    } else {
      if (breakMode === 'eos' || (open !== undefined && end - open[0] > blockSize)) close();
      open = [open?.[0] ?? position, end];
    }
    position = end;
  }
  close();
  if (breakMode === 'none') {
    samples.length = 0;
    for (let start = 0; start < flat.length; start += blockSize) {
      samples.push([start, Math.min(flat.length, start + blockSize)]);
    }
  }
  return samples.map(([start, end]) => ({
    targets: flat.slice(start, end),
    source: [sentenceStarts.has(start) ? EOS : flat[start - 1], ...flat.slice(start, end - 1)],
  }));
}

const sentence = fc
  .array(
    fc.oneof(
      { weight: 20, arbitrary: fc.integer({ min: 3, max: 43 }) },
      { weight: 1, arbitrary: fc.constant(PAD) },
    ),
    {
      maxLength: 14,
    },
  )
  .map((ids) => [...ids, EOS]);
const sentences = fc.array(sentence, { minLength: 1, maxLength: 25 });
const options = fc
  .record({
    breakMode: fc.constantFrom(...breakModes),
    tokensPerSample: fc.integer({ min: 1, max: 24 }),
    contextWindow: fc.nat(20),
    maxTokens: fc.integer({ min: 15, max: 60 }),
    batchSize: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
    maxPositions: fc.option(fc.integer({ min: 1, max: 14 }), { nil: undefined }),
    addBos: fc.boolean(),
  })
  .map((record) => ({ ...record, contextWindow: Math.min(record.contextWindow, record.tokensPerSample - 1) }))
  // A block of one sentence may be as long as 15 tokens, and every block fits into a batch.
  .filter(
    (record) =>
      record.breakMode !== 'none' || record.tokensPerSample - record.contextWindow <= record.maxTokens,
  )
  .filter((record) => record.tokensPerSample - record.contextWindow <= 15);

describe('planLmBatches', () => {
  it('makes the samples, rows and contexts of the Python system', async () => {
    await fc.assert(
      fc.asyncProperty(sentences, options, async (text, chosen) => {
        const samples = samplesOf(text, chosen);
        fc.pre(samples.length > 0);
        const plan = planLmBatches(await datasetOf(text), dictionary, chosen);
        expect(plan.sampleCount).toBe(samples.length);
        const tooLong = samples.flatMap((sample, i) =>
          sample.targets.length > (chosen.maxPositions ?? 99) ? [i] : [],
        );
        expect(plan.skippedSampleIds.toSorted((a, b) => a - b)).toEqual(tooLong);
        const bos = chosen.addBos ? [0] : [];
        const collate = collater(chosen);
        const seen: number[] = [];
        for (const batch of plan) {
          const rows = [...batch.sampleIds].map((id) => samples[id]);
          const golden = collate(rows.map(({ source }) => [...bos, ...source]));
          expect(batch.rows).toBe(rows.length);
          for (let row = 0; row < batch.rows; row++) {
            const columns = [row * batch.width, (row + 1) * batch.width] as const;
            expect([...batch.tokens.slice(...columns)]).toEqual(golden[row].row);
            expect(batch.starts[row]).toBe(golden[row].start);
            expect(batch.lengths[row]).toBe(golden[row].start + bos.length + rows[row].source.length);
            const targets = new Array<number>(batch.width).fill(PAD);
            targets.splice(
              golden[row].start,
              bos.length + rows[row].targets.length,
              // Nothing is scored where <s> is read.
              ...bos.map(() => PAD),
              ...rows[row].targets,
            );
            expect([...batch.targets.slice(...columns)]).toEqual(targets);
          }
          const longest = Math.max(...rows.map(({ targets }) => targets.length));
          expect(batch.rows === 1 || longest * batch.rows <= chosen.maxTokens).toBe(true);
          expect(batch.rows).toBeLessThanOrEqual(chosen.batchSize ?? 99);
          seen.push(...batch.sampleIds);
        }
        expect([...seen, ...plan.skippedSampleIds].sort((a, b) => a - b)).toEqual(samples.map((_, i) => i));
        if (chosen.contextWindow > 0) expect(seen).toEqual(seen.toSorted((a, b) => a - b));
      }),
      { numRuns: 600 },
    );
  });

  it('makes every batch on its own, and the same ones in shards', async () => {
    await fc.assert(
      fc.asyncProperty(
        sentences,
        options,
        fc.integer({ min: 1, max: 5 }),
        async (text, chosen, numShards) => {
          fc.pre(samplesOf(text, chosen).length > 0);
          const dataset = await datasetOf(text);
          const plan = planLmBatches(dataset, dictionary, chosen);
          const all = [...plan];
          expect(all).toHaveLength(plan.batchCount);
          for (let i = plan.batchCount - 1; i >= 0; i--) expect(plan.batch(i)).toEqual(all[i]);
          const shards = Array.from({ length: numShards }, (_, shardId) =>
            planLmBatches(dataset, dictionary, { ...chosen, numShards, shardId }),
          );
          expect(shards.flatMap((shard) => [...shard])).toEqual(all);
          expect(shards.reduce((sum, shard) => sum + shard.targetCount, 0)).toBe(plan.targetCount);
          expect(shards.reduce((sum, shard) => sum + shard.shardSampleCount, 0)).toBe(plan.shardSampleCount);
          expect(shards.map((shard) => shard.skippedSampleIds)).toEqual(
            shards.map(() => plan.skippedSampleIds),
          );
        },
      ),
      { numRuns: 200 },
    );
  });

  it('says where each sample is without making its batch', async () => {
    await fc.assert(
      fc.asyncProperty(sentences, options, async (text, chosen) => {
        fc.pre(samplesOf(text, chosen).length > 0);
        const plan = planLmBatches(await datasetOf(text), dictionary, {
          ...chosen,
          numShards: 2,
          shardId: 1,
        });
        const flat = text.flat();
        const places = [...plan.samples()];
        let at = 0;
        for (const [i, { sampleIds, starts, lengths, targets, width }] of [...plan].entries()) {
          for (const [row, sampleId] of sampleIds.entries()) {
            const { start, size, ...place } = places[at++];
            expect(place).toEqual({ sampleId, batch: i, contextTokens: starts[row] });
            const end = row * width + lengths[row];
            expect([...targets.slice(end - size, end)]).toEqual(flat.slice(start, start + size));
          }
        }
        expect(places).toHaveLength(at);
      }),
      { numRuns: 200 },
    );
  });

  it('limits batches to 36,000 tokens without being told, also when a batch size is given', async () => {
    const dataset = await datasetOf(Array.from({ length: 90 }, () => Array.from({ length: 1000 }, () => 5)));
    const chosen = { breakMode: 'none', tokensPerSample: 1000, contextWindow: 0 } as const;
    expect([...planLmBatches(dataset, dictionary, chosen)].map((batch) => batch.rows)).toEqual([36, 36, 18]);
    expect(planLmBatches(dataset, dictionary, { ...chosen, batchSize: 80 }).batch(0).rows).toBe(36);
    expect(
      planLmBatches(dataset, dictionary, { ...chosen, batchSize: 80, maxTokens: -1 }).batch(0).rows,
    ).toBe(80);
  });

  it('shortens long sentences to their first tokens, or to a part that depends on the seed', async () => {
    const long = Array.from({ length: 12 }, (_, i) => i + 4);
    const dataset = await datasetOf([
      [...long, EOS],
      [9, EOS],
      [...long, EOS],
    ]);
    const chosen = { breakMode: 'eos', tokensPerSample: 5, contextWindow: 0, batchSize: 1 } as const;
    const targets = (more: Partial<LmBatchOptions>) => {
      const batches = [...planLmBatches(dataset, dictionary, { ...chosen, ...more })];
      return batches.sort((a, b) => a.sampleIds[0] - b.sampleIds[0]).map((batch) => [...batch.targets]);
    };
    expect(targets({ shortenMethod: 'truncate' })).toEqual([long.slice(0, 5), [9, EOS], long.slice(0, 5)]);
    // numpy: seed(int(hash((1, 0, i)) % 1e6)); randint(0, 8) for i in (0, 2)
    expect(targets({ shortenMethod: 'random_crop' })).toEqual([
      long.slice(3, 3 + 5),
      [9, EOS],
      long.slice(6, 6 + 5),
    ]);
    expect(targets({ shortenMethod: 'random_crop', shortenSeed: 7 })).not.toEqual(
      targets({ shortenMethod: 'random_crop' }),
    );
  });

  it('refuses a sample over maxTokens, and says which', async () => {
    const dataset = await datasetOf([
      [5, EOS],
      [5, 5, 5, EOS],
    ]);
    const chosen = { breakMode: 'eos', tokensPerSample: 9, contextWindow: 0, maxTokens: 3 } as const;
    expect(() => planLmBatches(dataset, dictionary, chosen)).toThrow(
      expect.objectContaining({
        code: 'MAX_TOKENS_EXCEEDED',
        message: expect.stringContaining('Sentences lengths should not exceed max_tokens=3') as string,
        details: { sample: 1, found: 4, expected: 3 },
      }),
    );
  });

  it('refuses a text without tokens', async () => {
    const dataset = await datasetOf([]);
    const chosen = { breakMode: 'none', tokensPerSample: 9, contextWindow: 0 } as const;
    expect(() => planLmBatches(dataset, dictionary, chosen)).toThrow(
      expect.objectContaining({ code: 'TEXT_EMPTY' }),
    );
  });

  it('refuses ids that the dictionary does not have', async () => {
    await writeDataset(prefix, [[5, 70, EOS]], { vocabularySize: 100 });
    const plan = planLmBatches(await openDataset(prefix), dictionary, {
      breakMode: 'none',
      tokensPerSample: 9,
      contextWindow: 0,
    });
    expect(() => plan.batch(0)).toThrow(
      expect.objectContaining({
        code: 'TOKEN_OUT_OF_RANGE',
        details: expect.objectContaining({ token: 1, found: 70 }) as object,
      }),
    );
  });

  it.each([
    [{ tokensPerSample: 0 }, 'tokensPerSample'],
    [{ contextWindow: 8 }, 'contextWindow'],
    [{ contextWindow: -1 }, 'contextWindow'],
    [{ breakMode: 'line' as 'eos' }, 'breakMode'],
    [{ numShards: 2, shardId: 2 }, 'shardId'],
    [{ maxTokens: 1.5 }, 'maxTokens'],
    [{ shortenMethod: 'cut' as 'none' }, 'shortenMethod'],
  ])('refuses %j', async (wrong, option) => {
    const dataset = await datasetOf([[5, EOS]]);
    const chosen = { breakMode: 'none', tokensPerSample: 8, contextWindow: 0, ...wrong } as const;
    expect(() => planLmBatches(dataset, dictionary, chosen)).toThrow(
      expect.objectContaining({
        code: 'OPTION_INVALID',
        details: expect.objectContaining({ option }) as object,
      }),
    );
  });

  it('says which batches there are', async () => {
    const plan = planLmBatches(await datasetOf([[5, EOS]]), dictionary, {
      breakMode: 'none',
      tokensPerSample: 8,
      contextWindow: 0,
    });
    for (const i of [-1, 1, 0.5]) {
      expect(() => plan.batch(i)).toThrow(expect.objectContaining({ code: 'BATCH_OUT_OF_RANGE' }));
    }
  });
});
