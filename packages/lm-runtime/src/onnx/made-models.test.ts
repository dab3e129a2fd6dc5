// Models built here for what the exported ones do not show: output layers and graphs that are out of the ordinary.
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeModel, GraphBuilder, type Value } from '@knn-lm/checkpoint';
import { LanguageModel } from '../language-model.js';

const work = await mkdtemp(join(tmpdir(), 'knn-lm-made-'));
const vocabSize = 5;
const width = 3;
const table = Array.from({ length: vocabSize * width }, (_, i) => Math.sin(i * i));

/** A model of one lookup: the logits of a token are the products of its vector with all vectors. */
async function makeModel(
  name: string,
  finish: (builder: GraphBuilder, x: Value, weights: Value) => Value,
): Promise<string> {
  const builder = new GraphBuilder();
  const ids = builder.input('input_ids', 'int64', ['B', 'T']);
  const x = builder.node('Gather', ['table', ids], { attributes: { axis: 0 } });
  const from = finish(builder, x, builder.node('Transpose', ['table'], { attributes: { perm: [1, 0] } }));
  const graph = builder.finish('made', [
    { name: 'logits', type: 'float32', shape: ['B', 'T', vocabSize], from },
  ]);
  const path = join(work, `${name}.onnx`);
  const data = new Uint8Array(Float32Array.from(table).buffer);
  const weights = { name: 'table', type: 'float32', shape: [vocabSize, width], data } as const;
  const whole = { ...graph, initializers: [...graph.initializers, weights] };
  await writeFile(path, encodeModel({ graph: whole, operatorSets: { '': 17 }, metadata: {} }));
  return path;
}

/** The same in JavaScript. */
function expectedLogProb(token: number, target: number, change: (logit: number) => number): number {
  const row = (id: number): number[] => table.slice(id * width, (id + 1) * width);
  const logits = Array.from({ length: vocabSize }, (_, id) =>
    change(row(id).reduce((sum, x, i) => sum + x * row(token)[i], 0)),
  );
  return logits[target] - Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
}

const tokens = Int32Array.of(0, 4, 2, 1, 3, 1);
const targets = Int32Array.of(4, 2, 0, 3, 1, 2);
const batch = { rows: 2, width: 3, tokens, targets, positions: Int32Array.of(0, 1, 2, 4, 5) };

describe('the output layer', () => {
  it.each<
    [string, number, (builder: GraphBuilder, x: Value, weights: Value) => Value, (logit: number) => number]
  >([
    ['a product alone', 3, (b, x, w) => b.node('MatMul', [x, w]), (x) => x],
    [
      'logits that are capped (Gemma)',
      3,
      (b, x, w) => {
        const scaled = b.node('Div', [b.node('MatMul', [x, w]), b.floats(2)]);
        return b.node('Mul', [b.node('Tanh', [scaled]), b.floats(2)]);
      },
      (x) => Math.tanh(x / 2) * 2,
    ],
    [
      'logits that are turned around and back, which cannot be told apart from the rest',
      vocabSize,
      (b, x, w) => {
        const perm = { attributes: { perm: [0, 2, 1] } };
        return b.node('Transpose', [b.node('Transpose', [b.node('MatMul', [x, w])], perm)], perm);
      },
      (x) => x,
    ],
  ])('%s', async (name, keyDimension, finish, change) => {
    const model = await LanguageModel.open(await makeModel(name.slice(0, 12), finish), {
      purpose: 'score',
      threads: 1,
    });
    expect(model.info).toMatchObject({ vocabSize, keyDimension });
    const { logProbs } = await model.run(batch);
    batch.positions.forEach((at, i) => {
      expect(logProbs![i]).toBeCloseTo(expectedLogProb(tokens[at], targets[at], change), 5);
    });
    await expect(model.run({ ...batch, tokens: tokens.with(0, 5) })).rejects.toMatchObject({
      code: 'TOKEN_OUT_OF_RANGE',
    });
    await model.close();
  });
});

describe('a model that is no causal language model', () => {
  it('is refused', async () => {
    const path = await makeModel('mean', (b, x, w) => {
      const mean = b.node('ReduceMean', [x], { attributes: { axes: [1], keepdims: 1 } });
      return b.node('MatMul', [b.node('Add', [x, mean]), w]);
    });
    await expect(LanguageModel.open(path, { purpose: 'score' })).rejects.toMatchObject({
      code: 'MODEL_NOT_CAUSAL',
    });
  });

  it('is refused where rows of a batch influence each other', async () => {
    const path = await makeModel('rows', (b, x, w) => {
      const mean = b.node('ReduceMean', [x], { attributes: { axes: [0], keepdims: 1 } });
      return b.node('MatMul', [b.node('Add', [x, mean]), w]);
    });
    await expect(LanguageModel.open(path, { purpose: 'score' })).rejects.toMatchObject({
      code: 'MODULE_SHAPE',
    });
  });
});
