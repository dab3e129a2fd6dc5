import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { repositoryFile } from '@knn-lm/testing';
import { exportBatch, exportPath, readExport } from '../../test/exports/read-export.js';
import { maxDifference } from '../../test/golden-model.js';
import { LanguageModel, type LanguageModelOptions } from '../language-model.js';

const path = exportPath('llama.past.opset17');
const golden = readExport('llama.past.opset17');
const vocabSize = 61;

/** `<s>`, `<pad>`, `</s>`, `<unk>`, then the model's 61 tokens in another order. */
const modelTokenIds = Int32Array.from({ length: 4 + vocabSize }, (_, id) =>
  id < 4 ? (id === 2 ? 0 : -1) : ((id - 4) * 7 + 3) % vocabSize,
);
const dictionaryIds = golden.ids.map((row) => row.map((id) => modelTokenIds.lastIndexOf(id)));

const open = (options: Partial<LanguageModelOptions> = {}): Promise<LanguageModel> =>
  LanguageModel.open(path, { purpose: 'score', threads: 2, modelTokenIds, ...options });

/** As in the tests of the models themselves. */
const tolerance = 2e-5;

describe('a text in ids of a dictionary', () => {
  it('has the scores that it has in ids of the model', async () => {
    const model = await open();
    expect(model.info).toMatchObject({ vocabSize: 65, padIndex: 1, mapsTokenIds: true });
    const batch = exportBatch({ ids: dictionaryIds });
    const copy = structuredClone(batch);
    const { logProbs } = await model.run(batch);
    expect(maxDifference(logProbs!, golden.targetLogProbs.flat())).toBeLessThan(tolerance);
    expect(batch).toEqual(copy);
    await model.close();
  });

  it('is padded with <pad>, which changes nothing and is never fed or scored', async () => {
    // Even where somebody gives <pad> a token.
    const model = await open({ modelTokenIds: modelTokenIds.with(1, 60) });
    const short = dictionaryIds.map((row, i) => row.slice(0, row.length - 2 * i));
    const expected = golden.targetLogProbs.flatMap((row, i) => row.slice(0, row.length - 2 * i));
    const batch = exportBatch({ ids: short }, 1);
    const { logProbs } = await model.run(batch);
    expect(maxDifference(logProbs!, expected)).toBeLessThan(tolerance);
    const inside = { ...batch, tokens: batch.tokens.with(2, 1) };
    await expect(model.run(inside)).rejects.toMatchObject({
      code: 'TOKEN_WITHOUT_MODEL_ID',
      details: { id: 1, row: 0, column: 2 },
    });
    const scored = { ...batch, targets: batch.targets.with(3, 1) };
    await expect(model.run(scored)).rejects.toMatchObject({ code: 'TARGET_WITHOUT_MODEL_ID' });
    await model.close();
  });

  it('is refused where it holds a symbol that the model does not have', async () => {
    const model = await open();
    const { width, ...batch } = exportBatch({ ids: dictionaryIds });
    const second = { ...batch, width, tokens: batch.tokens.with(width + 3, 3) };
    await expect(model.run(second)).rejects.toMatchObject({
      code: 'TOKEN_WITHOUT_MODEL_ID',
      message: expect.stringMatching(/token 3 in row 1, column 3/) as string,
    });
    const before = { ...second, positions: Int32Array.of(0, width, width + 2) };
    expect((await model.run(before)).logProbs).toHaveLength(3);
    const target = { ...batch, width, targets: batch.targets.with(1, 0) };
    await expect(model.run(target)).rejects.toMatchObject({
      code: 'TARGET_WITHOUT_MODEL_ID',
      details: { id: 0, row: 0, column: 1 },
    });
    const beyond = { ...batch, width, tokens: batch.tokens.with(0, 65) };
    await expect(model.run(beyond)).rejects.toMatchObject({ code: 'TOKEN_OUT_OF_RANGE' });
    await model.close();
  });

  it('needs no targets for keys', async () => {
    const model = await open({ purpose: 'keys', keysDtype: 'fp32' });
    const plain = await open({ purpose: 'keys', keysDtype: 'fp32', modelTokenIds: undefined });
    expect(plain.info).toMatchObject({ vocabSize, mapsTokenIds: false });
    const unscored = { targets: new Int32Array() };
    const { keys } = await model.run({ ...exportBatch({ ids: dictionaryIds }), ...unscored });
    const expected = await plain.run({ ...exportBatch(golden), ...unscored });
    expect(keys).toEqual(expected.keys);
    expect(model.info.fingerprint).toBe(plain.info.fingerprint);
    await Promise.all([model.close(), plain.close()]);
  });
});

describe('ids that do not fit', () => {
  it.each([
    [modelTokenIds.with(9, vocabSize), /dictionary id 9 has the model's id 61, but it has 0 to 60/],
    [modelTokenIds.with(9, -2), /dictionary id 9 has the model's id -2/],
    [new Int32Array(), /none of the 0 entries/],
    [new Int32Array(7).fill(-1), /none of the 7 entries/],
  ])('are refused', async (ids, message) => {
    await expect(open({ modelTokenIds: ids })).rejects.toMatchObject({
      code: 'MODEL_TOKEN_IDS',
      message: expect.stringMatching(message) as string,
    });
  });

  it('are for exported models only', async () => {
    const golden = repositoryFile('packages', 'lm-runtime', 'test', 'golden', 'h_wiki103_arch');
    const opened = LanguageModel.open(join(golden, 'model.zip.pt'), { purpose: 'keys', modelTokenIds });
    await expect(opened).rejects.toMatchObject({ code: 'OPTION_INVALID' });
  });
});
