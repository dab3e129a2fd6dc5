import { copyFile, mkdir, mkdtemp, readFile, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { encodeModel, GraphBuilder } from '@knn-lm/checkpoint';
import { exportBatch, exportedModels, exportPath, readExport } from '../../test/exports/read-export.js';
import { withExternalData } from '../../test/exports/external-data.js';
import { maxDifference } from '../../test/golden-model.js';
import { LanguageModel, type LanguageModelOptions } from '../language-model.js';
import { listModules } from '../list-modules.js';

const work = await mkdtemp(join(tmpdir(), 'knn-lm-onnx-'));

const open = (path: string, options: Partial<LanguageModelOptions> = {}): Promise<LanguageModel> =>
  LanguageModel.open(path, { purpose: 'score', keysDtype: 'fp32', threads: 2, ...options });

/** Measured: 7e-6 at most, of which 5e-6 is the rounding of the golden numbers. */
const tolerance = 2e-5;

describe.each(exportedModels)('%s, against torch', (name) => {
  const golden = readExport(name);
  const batch = exportBatch(golden);
  const path = exportPath(name);

  it('gives the log-probabilities', async () => {
    for (const softmaxBatch of [undefined, 4]) {
      const model = await open(path, { softmaxBatch });
      expect(model.info).toMatchObject({ vocabSize: 61, keyDimension: 16, embedDim: 16, padIndex: 1 });
      const { logProbs } = await model.run(batch);
      expect(maxDifference(logProbs!, golden.targetLogProbs.flat())).toBeLessThan(tolerance);
      await model.close();
    }
  });

  it.each(Object.keys(golden.modules))('captures %s', async (module) => {
    const model = await open(path, { purpose: 'keys', moduleToCapture: module });
    const { keys, logProbs } = await model.run(batch);
    expect(logProbs).toBeUndefined();
    const expected = golden.modules[module].flatMap((row) => row.slice(0, -1)).flat();
    expect(model.info.keyDimension).toBe(golden.modules[module][0][0].length);
    expect(maxDifference(keys, expected)).toBeLessThan(tolerance);
    await model.close();
  });

  it('lists the modules, and can capture what it lists', async () => {
    const modules = await listModules(path);
    expect(modules.at(-1)).toBe('features');
    expect(modules.length).toBeGreaterThan(15);
    for (const module of [modules[4], modules[7], modules.at(-2)!, 'features']) {
      const model = await open(path, { moduleToCapture: module });
      expect(model.info.moduleToCapture).toBe(module);
      await model.close();
    }
  });

  it('gives the same for rows of different lengths, whatever the padding is', async () => {
    const ids = golden.ids.map((row, i) => row.slice(0, row.length - 2 * i));
    const expected = golden.targetLogProbs.flatMap((row, i) => row.slice(0, row.length - 2 * i));
    const model = await open(path);
    for (const pad of [1, 60]) {
      const { logProbs } = await model.run(exportBatch({ ids }, pad));
      expect(maxDifference(logProbs!, expected)).toBeLessThan(tolerance);
    }
    await model.close();
  });
});

describe('a module path', () => {
  const module = async (path: string, model = exportPath('gpt2.opset13')): Promise<string> => {
    const opened = await open(model, { purpose: 'keys', moduleToCapture: path });
    await opened.close();
    return opened.info.moduleToCapture;
  };

  it.each([
    ['transformer.h[-1].ln_2', 'transformer.h[2].ln_2'],
    ['transformer.h.-3.mlp', 'transformer.h[0].mlp'],
    ['h[1].attn.c_proj', 'transformer.h[1].attn.c_proj'],
    ['ln_f', 'transformer.ln_f'],
    ['model.transformer.h[0]', 'transformer.h[0]'],
    ['features', 'features'],
    ['/transformer/h.0/mlp/c_fc/Reshape_1_output_0', '/transformer/h.0/mlp/c_fc/Reshape_1_output_0'],
  ])('%s is %s', async (path, expected) => {
    expect(await module(path)).toBe(expected);
  });

  it('may name containers that the graph does not', async () => {
    expect(await module('transformer.h[-1].ln_2', exportPath('plain.int32.opset17'))).toBe('h[1].ln_2');
  });

  it('is an error that lists candidates when there is none, or several', async () => {
    const refused = async (path: string) => open(exportPath('gpt2.opset13'), { moduleToCapture: path });
    await expect(refused('transformer.h[-1].ln_3')).rejects.toMatchObject({
      code: 'MODULE_UNKNOWN',
      hint: expect.stringContaining('transformer.h[2].ln_2') as string,
    });
    await expect(refused('transformer.h[3].ln_2')).rejects.toMatchObject({
      code: 'MODULE_UNKNOWN',
      hint: expect.stringContaining('transformer.h[2].ln_2') as string,
    });
    await expect(refused('ln_2')).rejects.toMatchObject({
      code: 'MODULE_AMBIGUOUS',
      hint: expect.stringMatching(/h\[0\]\.ln_2.*h\[1\]\.ln_2.*h\[2\]\.ln_2/) as string,
    });
    await expect(refused('')).rejects.toMatchObject({ code: 'MODULE_UNKNOWN' });
  });

  it('is refused where its output is not one vector for each token', async () => {
    await expect(
      open(exportPath('gpt2.opset13'), { purpose: 'keys', moduleToCapture: 'transformer.wpe' }),
    ).rejects.toMatchObject({ code: 'MODULE_SHAPE' });
    const scores = '/transformer/h.0/attn/Softmax_output_0';
    await expect(
      open(exportPath('gpt2.opset13'), { purpose: 'keys', moduleToCapture: scores }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/MODULE_SHAPE|MODEL_NOT_CAUSAL/) as string });
  });
});

describe('an .onnx file', () => {
  it('may be model.onnx of a folder, with its limits in config.json', async () => {
    const folder = join(work, 'optimum');
    await mkdir(folder);
    await copyFile(exportPath('gpt2.opset13'), join(folder, 'model.onnx'));
    await writeFile(join(folder, 'config.json'), '{"n_positions": 24, "vocab_size": 61}');
    const model = await open(folder);
    expect(model.info).toMatchObject({ maxPositions: 24, folder, layers: 3 });
    const tokens = new Int32Array(25).fill(3);
    const long = { rows: 1, width: 25, tokens, targets: tokens, positions: Int32Array.of(0) };
    await expect(model.run(long)).rejects.toMatchObject({ code: 'BATCH_TOO_WIDE' });
    await model.close();
    expect((await listModules(folder)).length).toBeGreaterThan(15);
  });

  it('may have its weights in another file, which stays as it is', async () => {
    const folder = join(work, 'external');
    await mkdir(folder);
    const { model: bytes, data } = withExternalData(
      await readFile(exportPath('llama.past.opset17')),
      'model.onnx_data',
    );
    await writeFile(join(folder, 'model.onnx'), bytes);
    await expect(open(folder)).rejects.toMatchObject({ code: 'ONNX_DATA_MISSING' });
    await writeFile(join(folder, 'model.onnx_data'), data);
    const golden = readExport('llama.past.opset17');
    const model = await open(folder, { moduleToCapture: 'model.layers[-1].mlp' });
    const { logProbs } = await model.run(exportBatch(golden));
    expect(maxDifference(logProbs!, golden.targetLogProbs.flat())).toBeLessThan(tolerance);
    await model.close();
    expect((await readdir(folder)).sort()).toEqual(['model.onnx', 'model.onnx_data']);
    const before = model.info.fingerprint;
    await writeFile(join(folder, 'model.onnx_data'), data.with(5, data[5] ^ 1));
    const changed = await open(folder);
    await changed.close();
    expect(changed.info.fingerprint).not.toBe(before);
  });

  it('divides a batch among threads, and gives half-precision keys', async () => {
    const golden = readExport('gpt2.opset13');
    const single = await open(exportPath('gpt2.opset13'), { threads: 1, keysDtype: 'fp16' });
    const several = await open(exportPath('gpt2.opset13'), { threads: 3, keysDtype: 'fp16' });
    const [a, b] = [await single.run(exportBatch(golden)), await several.run(exportBatch(golden))];
    expect(a.keys).toBeInstanceOf(Uint16Array);
    expect(a.keys.length).toBe(b.keys.length);
    expect(maxDifference(a.logProbs!, b.logProbs!)).toBeLessThan(tolerance);
    await Promise.all([single.close(), several.close()]);
  });

  it.each([
    [{ precision: 'int8' as const }, 'OPTION_INVALID'],
    [{ modelOverrides: { max_target_positions: 3 } }, 'OPTION_INVALID'],
  ])('refuses %j, which is for checkpoints', async (options, code) => {
    await expect(open(exportPath('gpt2.opset13'), options)).rejects.toMatchObject({ code });
  });

  it('is refused by name where it is another kind of model', async () => {
    const make = async (inputs: string[], output: string): Promise<string> => {
      const builder = new GraphBuilder();
      const values = inputs.map((name) => builder.input(name, 'int64', ['B', 'T']));
      const from = builder.cast(
        builder.node(
          'Sum',
          values.map((value) => builder.cast(value, 'float32')),
        ),
        'float32',
      );
      const graph = builder.finish('other', [{ name: output, type: 'float32', shape: ['B', 'T'], from }]);
      const path = join(work, `${inputs.join('-')}-${output}.onnx`);
      await writeFile(path, encodeModel({ graph, operatorSets: { '': 17 }, metadata: {} }));
      return path;
    };
    const cases: [string[], string, string, RegExp][] = [
      [['pixels'], 'logits', 'ONNX_INPUT', /pixels/],
      [['input_ids'], 'last_hidden_state', 'ONNX_NO_LOGITS', /last_hidden_state/],
    ];
    for (const [inputs, output, code, message] of cases) {
      await expect(open(await make(inputs, output))).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message) as string,
      });
    }
    await writeFile(join(work, 'text.onnx'), 'this is no model');
    await expect(open(join(work, 'text.onnx'))).rejects.toMatchObject({ code: 'ONNX_DAMAGED' });
    await expect(open(join(work, 'none.onnx'))).rejects.toMatchObject({ code: 'FILE_ENOENT' });
  });
});
