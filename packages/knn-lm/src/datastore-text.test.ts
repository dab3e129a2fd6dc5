import { breakModes, type BreakMode, type TokenDataset } from '@knn-lm/binarizer';
import type { Datastore, DatastoreIdentity, DatastoreWriter } from '@knn-lm/datastore';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { datasetOf, dictionaryOf, fakeModel, planOf } from '../test/support/fake.js';
import { DatastoreText } from './datastore-text.js';
import { countDatastoreRows, generateDatastore } from './generate-datastore.js';

const dictionary = dictionaryOf(600);
const pad = 1;

interface Cut {
  readonly breakMode: BreakMode;
  readonly tokensPerSample: number;
  readonly contextWindow: number;
  readonly addBos: boolean;
  readonly maxPositions: number | undefined;
}

/** Generates a datastore as the real one is generated, as far as its values. */
async function valuesOf(dataset: TokenDataset, cut: Cut, maxTokens: number): Promise<Int32Array> {
  const plan = { ...cut, batches: planOf(dataset, dictionary, { ...cut, maxTokens }) };
  const rows = countDatastoreRows(plan, pad);
  const values: number[] = [];
  const writer = {
    rows,
    committedRows: 0,
    append: (_: unknown, more: Int32Array) => Promise.resolve(void values.push(...more)),
    commit: () => Promise.resolve(),
  } as unknown as DatastoreWriter;
  if (rows > 0) await generateDatastore(fakeModel(), plan, writer);
  return Int32Array.from(values);
}

function datastoreOf(values: Int32Array, identity: DatastoreIdentity | undefined): Datastore {
  return {
    folder: 'store',
    rows: values.length,
    manifest: identity === undefined ? undefined : { identity },
    readValues: (start: number, count: number) => values.slice(start, start + count),
  } as unknown as Datastore;
}

function identityOf(dataset: TokenDataset, cut: Cut): DatastoreIdentity {
  const { breakMode, tokensPerSample, contextWindow } = cut;
  return { textFingerprint: dataset.fingerprint, breakMode, tokensPerSample, contextWindow, split: 'train' };
}

/** Sentences in which every token but `</s>` and pads is there once, so that a value names its place. */
const texts = fc
  .array(fc.array(fc.boolean(), { maxLength: 12 }), { minLength: 1, maxLength: 30 })
  .map((lines) => {
    let next = 4;
    return lines.map((line) => [...line.map((isPad) => (isPad && next % 9 === 0 ? pad : next++)), 2]);
  });
const cuts = fc
  .record({
    breakMode: fc.constantFrom(...breakModes),
    tokensPerSample: fc.integer({ min: 2, max: 20 }),
    contextWindow: fc.nat(12),
    addBos: fc.boolean(),
    maxPositions: fc.constantFrom(undefined, 9),
  })
  .map((cut) => ({ ...cut, contextWindow: Math.min(cut.contextWindow, cut.tokensPerSample - 1) }));

describe('DatastoreText', () => {
  it('finds the token of every row, however the text was cut', async () => {
    await fc.assert(
      fc.asyncProperty(texts, cuts, fc.integer({ min: 24, max: 90 }), async (text, cut, maxTokens) => {
        const dataset = datasetOf(text);
        const values = await valuesOf(dataset, cut, maxTokens);
        fc.pre(values.length > 0);
        const opened = DatastoreText.open(
          datastoreOf(values, identityOf(dataset, cut)),
          dataset,
          dictionary,
          {
            maxPositions: cut.maxPositions,
          },
        );
        const positions = Array.from(values, (_, row) => opened.position(row) as number);
        expect(positions.map((at) => dataset.readTokens(at, at + 1)[0])).toEqual([...values]);
        expect(new Set(positions).size).toBe(positions.length);
        expect(opened.position(-1)).toBeUndefined();
      }),
      { numRuns: 400 },
    );
  });

  const cut: Cut = {
    breakMode: 'none',
    tokensPerSample: 8,
    contextWindow: 4,
    addBos: false,
    maxPositions: undefined,
  };
  const dataset = datasetOf(Array.from({ length: 20 }, (_, i) => [4 + 2 * i, 5 + 2 * i, 2]));

  it('takes a datastore that was cut short', async () => {
    const values = (await valuesOf(dataset, cut, 100)).slice(0, 30);
    const opened = DatastoreText.open(datastoreOf(values, identityOf(dataset, cut)), dataset, dictionary);
    expect(opened.position(0)).toBe(4);
  });

  it('finds the tokens of each of several texts that were appended', async () => {
    const second = datasetOf(Array.from({ length: 9 }, (_, i) => [104 + 2 * i, 105 + 2 * i, 2]));
    const parts = await Promise.all([dataset, second].map((text) => valuesOf(text, cut, 100)));
    const values = Int32Array.from(parts.flatMap((part) => [...part]));
    const texts = [dataset, second].map((text, i) => ({
      rows: parts[i].length,
      identity: identityOf(text, cut),
    }));
    const store = { ...datastoreOf(values, {}), manifest: { rows: values.length, identity: {}, texts } };
    const placed = { ...texts[1], firstRow: parts[0].length };
    const first = DatastoreText.open(store as unknown as Datastore, dataset, dictionary);
    const other = DatastoreText.open(store as unknown as Datastore, second, dictionary, { text: placed });
    for (const [row, value] of values.entries()) {
      const [here, there] = row < parts[0].length ? [first, other] : [other, first];
      const position = here.position(row) as number;
      expect(here.dataset.readTokens(position, position + 1)[0]).toBe(value);
      expect(there.position(row)).toBeUndefined();
    }
  });

  it.each([
    [undefined, 'no manifest'],
    [{ prunedFrom: 'x' }, 'pruned'],
    [{ dedupedFrom: 'x' }, 'deduplicated'],
    [{ mergedFrom: 'x' }, 'merged'],
    [{ numShards: 2, shardId: 0 }, 'shard'],
    [{ textFingerprint: 'other' }, 'another text'],
    [{ somethingNew: 1 }, 'somethingNew'],
    [{ contextWindow: 2 }, 'values are not those'],
    [{ breakMode: 'page' }, 'break mode'],
    [{ tokensPerSample: undefined }, 'does not say'],
  ])('gives no places rather than wrong ones: %j', async (change, reason) => {
    const values = await valuesOf(dataset, cut, 100);
    const identity = change === undefined ? undefined : { ...identityOf(dataset, cut), ...change };
    expect(() => DatastoreText.open(datastoreOf(values, identity), dataset, dictionary)).toThrow(
      expect.objectContaining({
        code: 'DATASTORE_TEXT',
        message: expect.stringContaining(reason) as string,
      }),
    );
  });
});
