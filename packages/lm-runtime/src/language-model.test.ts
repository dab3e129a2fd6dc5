import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32FromFloat16 } from '@knn-lm/common';
import { repositoryFile } from '@knn-lm/testing';
import { activationsAt, maxDifference, readGoldenModel } from '../test/golden-model.js';
import { LanguageModel, type LanguageModelOptions } from './language-model.js';
import { listModules } from './list-modules.js';

const golden = repositoryFile('packages', 'lm-runtime', 'test', 'golden', 'h_wiki103_arch');
const checkpoint = join(golden, 'model.zip.pt');
const modelCache = await mkdtemp(join(tmpdir(), 'knn-lm-runtime-'));
const expected = readGoldenModel(golden);
const { batch } = expected;

const open = (options: Partial<LanguageModelOptions> = {}): Promise<LanguageModel> =>
  LanguageModel.open(checkpoint, { purpose: 'score', modelCache, threads: 2, ...options });

describe('LanguageModel', () => {
  let model: LanguageModel;
  beforeAll(async () => {
    model = await open();
  });
  afterAll(() => model.close());

  it('says what it is', () => {
    expect(model.info).toMatchObject({
      vocabSize: 400,
      padIndex: 1,
      keyDimension: 48,
      embedDim: 48,
      layers: 2,
      maxPositions: 64,
      addBosToken: false,
      moduleToCapture: 'layers[1].final_layer_norm',
      keysDtype: 'fp32',
      device: 'cpu',
      threads: 2,
      softmaxBatch: 1024,
    });
    expect(model.info.fingerprint).toMatch(/^[0-9a-f]{64}$/);
  });

  it('gives the hidden states and log-probabilities of fairseq', async () => {
    const { keys, logProbs } = await model.run(batch);
    const path = 'layers.1.final_layer_norm';
    const goldenKeys = activationsAt(expected, path, expected.activations.get(path)!);
    expect(maxDifference(keys, goldenKeys)).toBeLessThan(5e-6);
    const goldenLogProbs = Array.from(batch.positions, (at) => Number(expected.targetLogProbs.data[at]));
    expect(maxDifference(logProbs!, goldenLogProbs)).toBeLessThan(5e-6);
  });

  it('gives the same for a row alone as for a padded batch', async () => {
    const together = await model.run(batch);
    let at = 0;
    for (let row = 0; row < batch.rows; row++) {
      const all = batch.tokens.subarray(row * batch.width, (row + 1) * batch.width);
      const width = all.indexOf(1) === -1 ? batch.width : all.indexOf(1);
      const alone = await model.run({
        rows: 1,
        width,
        tokens: all.subarray(0, width),
        targets: batch.targets.subarray(row * batch.width, row * batch.width + width),
        positions: Int32Array.from({ length: width }, (_, i) => i),
      });
      expect(maxDifference(alone.logProbs!, together.logProbs!.subarray(at, at + width))).toBeLessThan(5e-6);
      const keys = together.keys.subarray(at * 48, (at + width) * 48);
      expect(maxDifference(alone.keys, keys)).toBeLessThan(5e-6);
      at += width;
    }
    expect(at).toBe(batch.positions.length);
  });

  it('gives the wanted positions only, in their order', async () => {
    const all = await model.run(batch);
    const wanted = [0, 3, 17, batch.positions.length - 1];
    const some = await model.run({ ...batch, positions: Int32Array.from(wanted, (i) => batch.positions[i]) });
    expect(some.logProbs).toHaveLength(4);
    wanted.forEach((i, k) => {
      expect(some.logProbs![k]).toBeCloseTo(all.logProbs![i], 5);
      const keys = [some.keys.subarray(k * 48, k * 48 + 48), all.keys.subarray(i * 48, i * 48 + 48)];
      expect(maxDifference(keys[0], keys[1])).toBeLessThan(5e-6);
    });
    const none = await model.run({ ...batch, positions: new Int32Array() });
    expect([none.keys.length, none.logProbs?.length]).toEqual([0, 0]);
  });

  it('writes the hidden states into an array of the caller, which may be used again', async () => {
    const { keys } = await model.run(batch);
    const into = new Float32Array(keys.length + 5).fill(7);
    for (let run = 0; run < 2; run++) {
      const given = await model.run(batch, into);
      expect(given.keys.buffer).toBe(into.buffer);
      expect(given.keys).toEqual(keys);
      expect(into.subarray(keys.length)).toEqual(new Float32Array(5).fill(7));
    }
    for (const wrong of [new Float32Array(keys.length - 1), new Uint16Array(keys.length)]) {
      await expect(model.run(batch, wrong)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    }
  });

  it('gives the same for many parts, whose memory is used again, as for one', async () => {
    const { width, positions } = batch;
    const repeat = 40;
    const tokens = Int32Array.from(
      { length: repeat * batch.tokens.length },
      (_, i) => batch.tokens[i % batch.tokens.length],
    );
    const targets = Int32Array.from(tokens, (_, i) => batch.targets[i % batch.targets.length]);
    const many = Int32Array.from({ length: repeat * positions.length }, (_, i) => {
      return Math.floor(i / positions.length) * batch.tokens.length + positions[i % positions.length];
    });
    const alone = await model.run(batch);
    for (let run = 0; run < 3; run++) {
      const { keys, logProbs } = await model.run({
        rows: repeat * batch.rows,
        width,
        tokens,
        targets,
        positions: many,
      });
      for (let i = 0; i < repeat; i++) {
        const length = alone.keys.length;
        expect(maxDifference(keys.subarray(i * length, (i + 1) * length), alone.keys)).toBeLessThan(1e-6);
        const count = positions.length;
        expect(maxDifference(logProbs!.subarray(i * count, (i + 1) * count), alone.logProbs!)).toBeLessThan(
          1e-6,
        );
      }
    }
  });

  it('leaves the arrays of the caller alone, and several runs may wait at once', async () => {
    const copy = structuredClone(batch);
    const runs = await Promise.all([model.run(batch), model.run(batch), model.run(batch)]);
    expect(batch).toEqual(copy);
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[2]).toEqual(runs[0]);
  });

  it('keeps the event loop free', async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const rows = 64;
    const width = 64;
    const tokens = new Int32Array(rows * width).fill(5);
    const positions = Int32Array.from(tokens.keys());
    await Promise.all(
      Array.from({ length: 10 }, () => model.run({ rows, width, tokens, targets: tokens, positions })),
    );
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(10);
  });

  it('refuses what does not fit before it reaches the runtime', async () => {
    const tokens = batch.tokens.with(3, 400);
    await expect(model.run({ ...batch, tokens })).rejects.toMatchObject({ code: 'TOKEN_OUT_OF_RANGE' });
    const targets = batch.targets.with(0, -5);
    await expect(model.run({ ...batch, targets })).rejects.toMatchObject({ code: 'TARGET_OUT_OF_RANGE' });
  });

  it('runs windows longer than those of training, for sinusoids do not end', async () => {
    const width = 300;
    const tokens = new Int32Array(width).fill(7);
    const { logProbs } = await model.run({
      rows: 1,
      width,
      tokens,
      targets: tokens,
      positions: Int32Array.of(0, width - 1),
    });
    expect(logProbs!.every(Number.isFinite)).toBe(true);
  });

  it('cuts a long row into stretches, which changes nothing', async () => {
    for (const width of [1024, 1027]) {
      const row = Int32Array.from({ length: width }, (_, i) => 4 + ((i * i) % 390));
      const columns = [0, 1, 127, 128, 129, 130, 511, 512, 513, 900, width - 1];
      const alone = { rows: 1, width, tokens: row, targets: row, positions: Int32Array.from(columns) };
      // Two rows are not cut.
      const twice = Int32Array.of(...row, ...row);
      const positions = Int32Array.of(...columns, ...columns.map((column) => column + width));
      const cut = await model.run(alone);
      const whole = await LanguageModel.open(checkpoint, { purpose: 'score', modelCache, threads: 1 });
      const { keys, logProbs } = await whole.run({
        rows: 2,
        width,
        tokens: twice,
        targets: twice,
        positions,
      });
      await whole.close();
      expect(maxDifference(cut.keys, keys.subarray(0, keys.length / 2))).toBeLessThan(5e-6);
      expect(maxDifference(cut.logProbs!, logProbs!.subarray(0, columns.length))).toBeLessThan(2e-5);
    }
  });
});

describe('LanguageModel.open', () => {
  it('chunks of the softmax do not change the result', async () => {
    const results = [];
    for (const softmaxBatch of [1, 7, batch.positions.length, 100_000]) {
      const model = await open({ softmaxBatch });
      results.push((await model.run(batch)).logProbs!);
      await model.close();
    }
    for (const result of results) expect(maxDifference(result, results[0])).toBeLessThan(5e-6);
  });

  it('rounds keys to half precision as numpy does, and computes no probabilities for keys', async () => {
    const half = await open({ purpose: 'keys' });
    const single = await open({ purpose: 'keys', keysDtype: 'fp32' });
    const [a, b] = [await half.run(batch), await single.run(batch)];
    expect(a.logProbs).toBeUndefined();
    expect(a.keys).toBeInstanceOf(Uint16Array);
    const { float16FromFloat32 } = await import('@knn-lm/common');
    expect(a.keys).toEqual(float16FromFloat32(b.keys as Float32Array));
    expect(maxDifference(float32FromFloat16(a.keys as Uint16Array), b.keys)).toBeLessThan(0.002);
    await Promise.all([half.close(), single.close()]);
  });

  it('captures each module that it lists', async () => {
    const modules = await listModules(checkpoint);
    expect(modules).toContain('layers[1].final_layer_norm');
    for (const [path, array] of expected.activations) {
      const module = path.replace(/\.(\d+)/, '[$1]');
      expect(modules).toContain(module);
      const model = await open({ purpose: 'keys', keysDtype: 'fp32', moduleToCapture: module });
      expect(model.info.keyDimension).toBe(array.shape[2]);
      const { keys } = await model.run(batch);
      expect(maxDifference(keys, activationsAt(expected, path, array)), path).toBeLessThan(5e-6);
      await model.close();
    }
  });

  it('opens the folder that it has made, and counts negative indices from the end', async () => {
    const first = await open();
    await first.close();
    const second = await LanguageModel.open(first.info.folder, {
      purpose: 'keys',
      moduleToCapture: 'layers[-2].fc1',
    });
    expect(second.info).toMatchObject({ moduleToCapture: 'layers[0].fc1', keyDimension: 96 });
    expect(second.info.fingerprint).toBe(first.info.fingerprint);
    expect(await listModules(first.info.folder)).toEqual(await listModules(checkpoint));
    await second.close();
  });

  it('names the nearest module when there is none of that name', async () => {
    await expect(open({ moduleToCapture: 'layers[-1].final_layernorm' })).rejects.toMatchObject({
      code: 'MODULE_UNKNOWN',
      hint: expect.stringContaining('layers[1].final_layer_norm') as string,
    });
  });

  it.each(['dml', 'cuda', 'webgpu'] as const)(
    'says why %s cannot be used here, and how to get it',
    async (device) => {
      const model = await open({ device }).catch((error: unknown) => error);
      // Where there is a card with its driver, it is used.
      if (model instanceof LanguageModel) {
        expect(model.info.device).toBe(device);
        return model.close();
      }
      expect(model).toMatchObject({
        code: 'DEVICE_UNAVAILABLE',
        message: expect.stringMatching(`^the device ${device} cannot be used: .{10}`) as string,
        hint: expect.stringContaining('--device cpu') as string,
      });
    },
  );

  it.each([
    [{ device: 'gpu' as 'cuda' }, 'DEVICE_UNKNOWN'],
    [{ precision: 'int4' as 'int8' }, 'OPTION_INVALID'],
    [{ threads: 0 }, 'OPTION_INVALID'],
    [{ softmaxBatch: 1.5 }, 'OPTION_INVALID'],
    [{ signal: AbortSignal.abort() }, 'CANCELLED'],
  ])('refuses %j', async (options, code) => {
    await expect(open(options)).rejects.toMatchObject({ code });
  });

  it('stops between two runs when the signal fires', async () => {
    const controller = new AbortController();
    const model = await open({ signal: controller.signal });
    const running = model.run(batch);
    controller.abort();
    await expect(model.run(batch)).rejects.toMatchObject({ code: 'CANCELLED' });
    expect((await running).logProbs).toHaveLength(batch.positions.length);
    await model.close();
  });

  it('finishes the runs that were asked for when it is closed, and refuses others', async () => {
    const model = await open();
    const running = [model.run(batch), model.run(batch)];
    const closing = Promise.all([model.close(), model.close()]);
    await expect(model.run(batch)).rejects.toMatchObject({ code: 'CLOSED' });
    for (const result of await Promise.all(running)) expect(result.logProbs).toBeDefined();
    await closing;
  });
});
