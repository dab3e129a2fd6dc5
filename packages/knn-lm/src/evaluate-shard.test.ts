import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LmBatch, LmBatchPlan } from '@knn-lm/binarizer';
import type { LanguageModel, LmRunBatch } from '@knn-lm/lm-runtime';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { evaluateShard } from './evaluate-shard.js';
import { evaluate, type EvaluateOptions } from './evaluate.js';
import { readPartialRecords } from './partial-file.js';
import { reduceEvaluation } from './reduce-evaluation.js';
import type { NeighborLists } from './neighbor-lists.js';
import type { Retriever } from './retriever.js';

const pad = 1;
const identity = { model: 'm', text: 't' };

/** Batches of different heights and widths; some rows score nothing. */
const plan = ((): LmBatchPlan => {
  const batches = Array.from({ length: 23 }, (_, i): LmBatch => {
    const [rows, width] = [1 + (i % 3), 5 + (i % 4)];
    const targets = Int32Array.from({ length: rows * width }, (_, at) =>
      at % 5 === 0 ? pad : 2 + ((at * 7 + i) % 50),
    );
    if (i === 4) targets.fill(pad);
    return {
      rows,
      width,
      sampleIds: Int32Array.from({ length: rows }, (_, row) => i * 10 + row),
      tokens: targets.slice(),
      targets,
      starts: new Int32Array(rows),
      lengths: new Int32Array(rows).fill(width),
    };
  });
  const targetCount = batches.reduce(
    (sum, { targets }) => sum + targets.filter((id) => id !== pad).length,
    0,
  );
  return {
    sampleCount: 300,
    batchCount: batches.length,
    shardSampleCount: 300,
    targetCount,
    skippedSampleIds: [],
    blockSize: 5,
    samples: () => [][Symbol.iterator](),
    batch: (i: number) => batches[i],
    [Symbol.iterator]: () => batches[Symbol.iterator](),
  };
})();

/** A model whose numbers depend on the batch that a token is in, so that another grouping would show. */
const model = {
  info: { padIndex: pad },
  run: ({ rows, width, targets, positions }: LmRunBatch) => ({
    logProbs: Float32Array.from(positions, (at) => -Math.log(3 + targets[at] / (rows + width))),
    keys: Float32Array.from(positions, (at) => targets[at]),
  }),
} as unknown as LanguageModel;

/** Neighbours that depend on which queries are searched together. */
const retriever = {
  k: 2,
  retrieve: (queries: Float32Array) => ({
    k: 2,
    distances: Float32Array.from({ length: queries.length * 2 }, (_, i) => (i % 7) + queries.length / 100),
    values: Int32Array.from({ length: queries.length * 2 }, (_, i) => queries[i >> 1]),
  }),
} as unknown as Retriever;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'partial-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const options: EvaluateOptions = { retriever, queriesPerSearch: 40 };
const shard = (numShards: number, shardId: number, more: Partial<EvaluateOptions> = options) =>
  evaluateShard(model, plan, join(folder, `${shardId}.part`), { ...more, numShards, shardId, identity });
const files = (numShards: number) => Array.from({ length: numShards }, (_, id) => join(folder, `${id}.part`));

/** What a file holds but for the times. */
const scoresOf = (path: string) =>
  Array.from(readPartialRecords(path), ({ unit, payload }) => [unit, [...payload]]);

describe('an evaluation in shards', () => {
  it.each([1, 2, 3, 7, 60])('adds up to the same number with %s shards', async (numShards) => {
    for (let id = 0; id < numShards; id++) await shard(numShards, id);
    expect(reduceEvaluation(files(numShards).reverse())).toMatchObject(await evaluate(model, plan, options));
  });

  it('does so without neighbours', async () => {
    for (let id = 0; id < 4; id++) await shard(4, id, {});
    expect(reduceEvaluation(files(4))).toMatchObject(await evaluate(model, plan));
  });

  it('goes on wherever it was cut, and keeps what is finished', async () => {
    await shard(2, 1);
    const whole = await readFile(files(2)[1]);
    const scores = scoresOf(files(2)[1]);
    for (let bytes = 0; bytes < whole.length; bytes += 97) {
      await rm(files(2)[1]);
      await writeFile(`${files(2)[1]}.partial`, whole);
      await truncate(`${files(2)[1]}.partial`, bytes);
      const { unitsScored, units } = await shard(2, 1);
      expect(scoresOf(files(2)[1])).toEqual(scores);
      if (bytes > whole.length / 2) expect(unitsScored).toBeLessThan(units.end - units.begin);
    }
    expect((await shard(2, 1)).unitsScored).toBe(0);
  });

  it('stops between two units and keeps them', async () => {
    const controller = new AbortController();
    const onProgress = () => controller.abort();
    await expect(shard(1, 0, { ...options, signal: controller.signal, onProgress })).rejects.toThrow(
      'stopped',
    );
    expect((await shard(1, 0)).unitsScored).toBeGreaterThan(0);
    expect(reduceEvaluation(files(1))).toMatchObject(await evaluate(model, plan, options));
  });
});

/** The k nearest of some rows of a store of 40; many are equally near, and the last row is what is missing. */
function lookup(k: number, ofShards = 1, shardIndex = 0): Retriever {
  const rows = Array.from({ length: 40 }, (_, row) => row);
  const own = rows.filter((row) => Math.floor((row * ofShards) / 40) === shardIndex);
  return {
    k,
    retrieve: (queries: Float32Array): Promise<NeighborLists> => {
      const found = [...queries].map((query) => {
        const nearness = (row: number) => (query * 7 + row * 3) % 5;
        const nearest = own.toSorted((a, b) => nearness(a) - nearness(b) || a - b).slice(0, k);
        return Array.from({ length: k }, (_, i) => {
          const row = nearest[i] ?? -1;
          return { row, near: row < 0 ? 3.4e38 : nearness(row), far: ((row < 0 ? 39 : row) * 11) % 13 };
        });
      });
      const all = found.flat();
      const values = Int32Array.from(all, ({ row }) => (row < 0 ? 39 : row) + 2);
      return Promise.resolve({
        k,
        ids: Float64Array.from(all, ({ row }) => row),
        indexDistances: Float32Array.from(all, ({ near }) => near),
        distances: Float32Array.from(all, ({ far }) => far),
        values,
        weights: Float32Array.from(values, (value) => 1 + (value % 3)),
      });
    },
  } as unknown as Retriever;
}

describe('an index in shards', () => {
  it.each([
    [2, 3, 6],
    [3, 5, 20],
    [1, 2, 64],
  ])('%s pieces of text, %s of the index, k %s: the number of one process', async (numShards, of, k) => {
    const paths: string[] = [];
    for (let at = 0; at < numShards * of; at++) {
      const [shardId, id] = [Math.floor(at / of), at % of];
      const path = join(folder, `${shardId}-${id}.part`);
      const retriever = lookup(k, of, id);
      const settings = {
        retriever,
        queriesPerSearch: 40,
        numShards,
        shardId,
        identity,
        indexShard: { id, of },
      };
      await evaluateShard(model, plan, path, settings);
      paths.push(path);
    }
    const whole = await evaluate(model, plan, { retriever: lookup(k), queriesPerSearch: 40 });
    expect(reduceEvaluation(paths.toReversed())).toMatchObject(whole);
    expect(() => reduceEvaluation(paths.slice(0, -1))).toThrow(
      `1 of ${numShards * of} are missing: shard ${numShards - 1} with shard ${of - 1} of the index`,
    );
  });
});

describe('reduceEvaluation refuses', () => {
  beforeEach(async () => {
    for (let id = 0; id < 3; id++) await shard(3, id);
  });

  it('a set that is not whole', () => {
    const [a, b, c] = files(3);
    expect(() => reduceEvaluation([a, c])).toThrow('1 of 3 are missing: shard 1');
    expect(() => reduceEvaluation([a, b, b, c])).toThrow('shard 1 is there twice');
    expect(() => reduceEvaluation([])).toThrow('no partial result');
  });

  it('shards of another evaluation', async () => {
    const other = join(folder, 'other.part');
    const settings = { ...options, numShards: 3, shardId: 2, identity, lambda: 0.5 };
    await evaluateShard(model, plan, other, settings);
    expect(() => reduceEvaluation([...files(3).slice(0, 2), other])).toThrow('lambda 0.25 there, 0.5 here');
    await expect(evaluateShard(model, plan, files(3)[2], settings)).rejects.toThrow(
      'belongs to another evaluation',
    );
  });

  it('any changed byte, and other files', async () => {
    const [path] = files(3);
    const whole = await readFile(path);
    const header = whole.indexOf(10) + 1;
    for (let at = header; at < whole.length; at += 61) {
      const changed = Buffer.from(whole);
      changed[at] ^= 4;
      await writeFile(path, changed);
      expect(() => reduceEvaluation(files(3))).toThrow('is damaged');
    }
    await writeFile(path, Buffer.concat([whole, Buffer.alloc(1)]));
    expect(() => reduceEvaluation(files(3))).toThrow('is damaged');
    await writeFile(path, 'keys and values\n');
    expect(() => reduceEvaluation(files(3))).toThrow('is no partial result');
  });
});
