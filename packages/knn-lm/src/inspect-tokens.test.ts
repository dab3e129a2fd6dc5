import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { datasetOf, dictionaryOf, fakeModel, fakeRetriever, planOf } from '../test/support/fake.js';
import type { DatastoreText } from './datastore-text.js';
import { evaluate } from './evaluate.js';
import { inspectTokens } from './inspect-tokens.js';
import { writeJsonLines } from './json-lines.js';
import { mixBatch } from './mixture.js';
import { planTokens } from './sub-plan.js';
import { TextPlaces } from './text-places.js';
import { TokenRecorder, type TokenRecord } from './token-record.js';

const sentences = Array.from({ length: 60 }, (_, s) => [
  ...Array.from({ length: s % 8 }, (_unused, i) => 4 + ((s * 5 + i * 3) % 36)),
  2,
]);
const dataset = datasetOf(sentences);
const dictionary = dictionaryOf(40);
const plan = planOf(dataset, dictionary, { breakMode: 'complete', contextWindow: 3, maxTokens: 40 });
const mixing = { lambda: 0.4, temperature: 5 };
const options = { retriever: fakeRetriever(16), mixing, dictionary, dataset, neighbors: 4, contextTokens: 3 };

/** The records of the whole text, in its order. */
async function allRecords(): Promise<TokenRecord[]> {
  const recorder = new TokenRecorder(options);
  const records: TokenRecord[] = [];
  await evaluate(fakeModel(), plan, {
    ...mixing,
    retriever: options.retriever,
    onBatch(batch, logProbs, knnProbs) {
      for (const i of batch.tokens.keys()) records.push(recorder.record(batch, { logProbs, knnProbs }, i));
    },
  });
  return records.sort((a, b) => a.position - b.position);
}

describe('inspectTokens', () => {
  it('says of a range what a run over the whole text says', async () => {
    const all = await allRecords();
    expect(all.map(({ position }) => position)).toEqual(
      Array.from({ length: dataset.tokenCount }, (_, i) => i),
    );
    for (const [start, end] of [
      [0, 1],
      [17, 40],
      [dataset.tokenCount - 1, dataset.tokenCount],
    ]) {
      const { records, evaluation } = await inspectTokens(
        fakeModel(),
        plan,
        { kind: 'range', start, end },
        options,
      );
      expect(records).toEqual(all.slice(start, end));
      expect(evaluation.tokenCount).toBeLessThan(end - start + 2 * 8);
    }
  });

  it('finds the tokens that gain and lose most', async () => {
    const all = await allRecords();
    for (const [kind, sign] of [
      ['gain', 1],
      ['loss', -1],
    ] as const) {
      const { records } = await inspectTokens(fakeModel(), plan, { kind, count: 7 }, options);
      const best = all.toSorted((a, b) => sign * (b.gain - a.gain)).slice(0, 7);
      expect(records.map(({ gain }) => gain)).toEqual(best.map(({ gain }) => gain));
    }
  });

  it('refuses a range that nothing scores', async () => {
    const nothing = { kind: 'range', start: 10_000, end: 10_001 } as const;
    await expect(inspectTokens(fakeModel(), plan, nothing, options)).rejects.toMatchObject({
      code: 'NOTHING_SELECTED',
    });
  });
});

describe('TokenRecorder', () => {
  it('names tokens, places and probabilities that fit together', async () => {
    const places = new TextPlaces(dataset);
    for (const record of await allRecords()) {
      const { position, sentence, token, context, word, id } = record;
      expect(places.of(sentence, token)).toEqual({ position, sentence, token });
      expect(sentences[sentence][token]).toBe(id);
      expect(word).toBe(dictionary.symbol(id));
      expect(context).toEqual(
        Array.from(dataset.readTokens(Math.max(0, position - 3), position), (at) => dictionary.symbol(at)),
      );
      const { pLm, pKnn = NaN, p, lambda, gain, neighbors } = record;
      expect(p).toBeCloseTo((1 - lambda) * pLm + lambda * pKnn, 10);
      expect(gain).toBeCloseTo(Math.log2(p / pLm), 8);
      expect(neighbors).toHaveLength(4);
      for (let n = 1; n < 4; n++)
        expect(neighbors[n].distance).toBeGreaterThanOrEqual(neighbors[n - 1].distance);
    }
  });

  it('gives a neighbour its context where the text has its value, and no other', async () => {
    const text = { dataset, position: (row: number) => row + 20 } as unknown as DatastoreText;
    const range = { kind: 'range', start: 0, end: 30 } as const;
    const recorded = await inspectTokens(fakeModel(), plan, range, { ...options, datastoreText: text });
    const neighbors = recorded.records.flatMap((record) => record.neighbors);
    const known = neighbors.filter(({ context }) => context !== undefined);
    for (const { row, id, context, place } of known) {
      expect(dataset.readTokens(row + 20, row + 21)[0]).toBe(id);
      expect(place?.position).toBe(row + 20);
      const before = dataset.readTokens(row + 17, row + 20);
      expect(context).toEqual(Array.from(before, (token) => dictionary.symbol(token)));
    }
    expect(known.length).toBeGreaterThan(0);
    expect(known.length).toBeLessThan(neighbors.length);
  });

  it('gives shares that add up to 1, and to p_kNN over the neighbours with the token', () => {
    const neighbor = fc.record({
      distance: fc.float({ min: 0, max: 300, noNaN: true }),
      value: fc.integer({ min: 4, max: 7 }),
    });
    fc.assert(
      fc.property(fc.array(neighbor, { minLength: 1, maxLength: 20 }), (all) => {
        const batch = {
          unit: 0,
          samples: [{ sampleId: 0, begin: 0, end: 1 }],
          tokens: Int32Array.of(5),
          textPositions: Float64Array.of(0),
          lmLogProbs: Float32Array.of(-3),
          neighbors: {
            k: all.length,
            ids: Float64Array.from(all.keys()),
            distances: Float32Array.from(all, ({ distance }) => distance),
            values: Int32Array.from(all, ({ value }) => value),
          },
        };
        const recorder = new TokenRecorder({ ...options, neighbors: all.length });
        const { neighbors, pKnn } = recorder.record(batch, mixBatch(batch, mixing), 0);
        const sum = (records: typeof neighbors) => records.reduce((total, { share }) => total + share, 0);
        expect(sum(neighbors)).toBeCloseTo(1, 10);
        expect(sum(neighbors.filter(({ id }) => id === 5))).toBeCloseTo(pKnn as number, 10);
      }),
    );
  });
});

describe('planTokens', () => {
  it('makes the rows that the whole plan makes', () => {
    const wanted = (start: number, end: number) => start < 100 && end > 60;
    const part = planTokens(plan, wanted);
    const whole = new Map<number, { tokens: Int32Array; targets: Int32Array; start: number }>();
    for (const { sampleIds, tokens, targets, starts, width } of plan) {
      for (const [row, id] of sampleIds.entries()) {
        const cells = [row * width, (row + 1) * width] as const;
        const start = starts[row];
        whole.set(id, { tokens: tokens.slice(...cells), targets: targets.slice(...cells), start });
      }
    }
    let count = 0;
    for (const { rows, width, sampleIds, tokens, targets, starts } of part) {
      count += rows;
      for (let row = 0; row < rows; row++) {
        const cells = [row * width, (row + 1) * width] as const;
        const start = starts[row];
        expect({ tokens: tokens.slice(...cells), targets: targets.slice(...cells), start }).toEqual(
          whole.get(sampleIds[row]),
        );
      }
    }
    expect(count).toBe(part.shardSampleCount);
    expect([...part.samples()].map(({ batch }) => batch)).toEqual(
      Array.from({ length: part.batchCount }, (_, i) => Array<number>(part.batch(i).rows).fill(i)).flat(),
    );
    expect(count).toBeLessThan(plan.shardSampleCount / 2);
  });
});

describe('writeJsonLines', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'knn-lm-lines-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('writes every line in order', async () => {
    const path = join(folder, 'lines.jsonl');
    await writeJsonLines(path, async (writer) => {
      for (let i = 0; i < 50_000; i++) await writer.write({ i, text: 'ä'.repeat(20) });
    });
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => (JSON.parse(line) as { i: number }).i)).toEqual(lines.map((_, i) => i));
    expect(lines).toHaveLength(50_000);
  });

  it('leaves the old file where it stops in the middle', async () => {
    const path = join(folder, 'old.jsonl');
    await writeFile(path, 'old');
    const stopped = writeJsonLines(path, async (writer) => {
      await writer.write({});
      throw new Error('stopped');
    });
    await expect(stopped).rejects.toThrow('stopped');
    expect(await readFile(path, 'utf8')).toBe('old');
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('says which file cannot be written', async () => {
    const path = join(folder, 'missing', 'lines.jsonl');
    await expect(writeJsonLines(path, () => Promise.resolve())).rejects.toMatchObject({
      code: 'FILE_ENOENT',
    });
  });
});

describe('TextPlaces', () => {
  it.each([
    ['at', [-1]],
    ['at', [dataset.tokenCount]],
    ['at', [0.5]],
    ['of', [3, 99]],
    ['of', [60, 0]],
  ] as const)('refuses %s%j', (method, place) => {
    const places = new TextPlaces(dataset);
    const [first, second] = [place[0], Number((place as readonly number[])[1])];
    const ask = () => (method === 'at' ? places.at(first) : places.of(first, second));
    expect(ask).toThrow(expect.objectContaining({ code: 'TEXT_POSITION' }));
  });
});
