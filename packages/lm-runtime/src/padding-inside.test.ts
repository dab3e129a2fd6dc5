// fairseq treats the symbol <pad> inside a text as padding: no token attends to it, it has no position of its own, and
// positions go on as if it were not there (fairseq/utils.py make_positions; transformer_decoder.py self_attn_padding_mask).
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fixture, fixturesFolder, repositoryFile } from '@knn-lm/testing';
import { maxDifference } from '../test/golden-model.js';
import { LanguageModel } from './language-model.js';

const modelCache = await mkdtemp(join(tmpdir(), 'knn-lm-padding-'));
const pad = 1;
const tolerance = 1e-5;
const models: [name: string, path: string][] = [
  [
    'sinusoidal positions',
    repositoryFile('packages', 'lm-runtime', 'test', 'golden', 'h_wiki103_arch', 'model.zip.pt'),
  ],
  ...(fixturesFolder === undefined
    ? []
    : [
        ['learned positions', fixture('tiny_models', 'a_plain_shared_learned', 'model.zip.pt')] as [
          string,
          string,
        ],
        ['no positions', fixture('tiny_models', 'j_nopos_geluaccurate', 'model.zip.pt')] as [string, string],
      ]),
];

describe.each(models)('padding inside a text: %s', (_name, path) => {
  let model: LanguageModel;
  beforeAll(async () => {
    model = await LanguageModel.open(path, { purpose: 'score', modelCache, threads: 2 });
  });
  afterAll(() => model.close());

  const run = async (tokens: number[], columns: number[]) => {
    const batch = { rows: 1, width: tokens.length, tokens: Int32Array.from(tokens) };
    const targets = new Int32Array(tokens.length).fill(7);
    const { keys, logProbs } = await model.run({ ...batch, targets, positions: Int32Array.from(columns) });
    const width = model.info.keyDimension;
    const rows = columns.map((_, i) => keys.subarray(i * width, (i + 1) * width) as Float32Array);
    return { rows, keys: keys as Float32Array, logProbs: logProbs! };
  };

  it('gives other tokens what they have without it', async () => {
    const plain = await run([2, 9, 14, 5, 21], [0, 1, 2, 3, 4]);
    const padded = await run([2, 9, pad, 14, pad, pad, 5, 21], [0, 1, 3, 6, 7]);
    expect(maxDifference(padded.keys, plain.keys)).toBeLessThan(tolerance);
    expect(maxDifference(padded.logProbs, plain.logProbs)).toBeLessThan(tolerance);
  });

  it('lets padding see the tokens before it, and not itself', async () => {
    const { rows } = await run([2, 9, 14, pad, pad, 5, pad], [2, 3, 4, 6]);
    // Both stand after the same tokens, with the same embedding and position; the third after one more token.
    expect(maxDifference(rows[1], rows[2])).toBeLessThan(tolerance);
    expect(maxDifference(rows[1], rows[3])).toBeGreaterThan(1e-3);
    expect(maxDifference(rows[0], rows[1])).toBeGreaterThan(1e-3);
  });

  it('is the same with and without the mask where there is no padding', async () => {
    const { rows } = await run([2, 9, 14, 5, pad, 21], [1, 3, 5]);
    const plain = await run([2, 9, 14, 5], [1, 3]);
    expect(maxDifference(rows[0], plain.rows[0])).toBeLessThan(tolerance);
    expect(maxDifference(rows[1], plain.rows[1])).toBeLessThan(tolerance);
  });

  it('works for rows of a batch, each with its own padding', async () => {
    const plain = await run([2, 9, 14, 5], [3]);
    const batch = await model.run({
      rows: 2,
      width: 6,
      tokens: Int32Array.of(2, pad, 9, 14, 5, pad, 2, 9, 14, 5, pad, pad),
      targets: new Int32Array(12).fill(7),
      positions: Int32Array.of(4, 9),
    });
    for (const logProb of batch.logProbs!)
      expect(Math.abs(logProb - plain.logProbs[0])).toBeLessThan(tolerance);
  });
});
