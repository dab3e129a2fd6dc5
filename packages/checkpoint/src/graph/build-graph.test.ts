import { mkdtemp, readFile, readdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LmArchitecture } from '../architecture.js';
import type { StoredTensor } from '../onnx/graph-builder.js';
import { expectedTensors } from '../tensor-names.js';
import { buildGraph, type GraphPurpose } from './build-graph.js';
import { ensureGraph, type GraphFolder } from './ensure-graph.js';
import { capturableModules, findModule, listModules } from './modules.js';

const bands = { cutoffs: [8, 20, 40], factor: 4, widths: [16, 4, 1] };

/** A pre-norm model with adaptive input and tied adaptive softmax, in miniature. */
const adaptiveModel: LmArchitecture = {
  name: 'miniature',
  vocabSize: 40,
  layers: 4,
  embedDim: 16,
  inputDim: 16,
  outputDim: 16,
  ffnDim: 32,
  heads: 2,
  normalizeBefore: true,
  finalNorm: false,
  layerNormEmbedding: false,
  activation: 'relu',
  embedScale: 4,
  positions: 'sinusoidal',
  maxPositions: 64,
  padIndex: 1,
  adaptiveInput: bands,
  adaptiveSoftmax: bands,
  tieAdaptiveWeights: true,
  tieAdaptiveProj: true,
  shareInputOutputEmbed: false,
  addBosToken: false,
  tokensPerSample: 64,
};

/** A model with everything that the other has not. */
const plainModel: LmArchitecture = {
  ...adaptiveModel,
  inputDim: 12,
  outputDim: 10,
  normalizeBefore: false,
  finalNorm: true,
  layerNormEmbedding: true,
  positions: 'learned',
  adaptiveInput: undefined,
  adaptiveSoftmax: undefined,
  tieAdaptiveWeights: false,
};

/** Byte ranges for the tensors of a model, without their bytes. */
function storedTensorsOf(architecture: LmArchitecture): Map<string, StoredTensor> {
  return new Map(
    [...expectedTensors(architecture)].map(([name, shape]) => [
      name,
      { shape, type: 'float32', data: { location: 'weights.bin', byteOffset: 0, byteLength: 4 } },
    ]),
  );
}

/** Graphs are small, and node names are plain text in them: what is computed shows. */
function textOfGraph(architecture: LmArchitecture, purpose: GraphPurpose, module: string): string {
  const request = { purpose, module, keysDtype: 'fp16' } as const;
  return Buffer.from(buildGraph(architecture, storedTensorsOf(architecture), request)).toString('latin1');
}

const modelFolder = async (): Promise<GraphFolder> => ({
  folder: await mkdtemp(join(tmpdir(), 'knn-lm-graph-')),
  architecture: adaptiveModel,
  weightsFile: 'weights.bin',
  weights: new Map(
    [...storedTensorsOf(adaptiveModel)].map(([name, { shape }]) => [
      name,
      { shape, byteOffset: 0, byteLength: 4, sha256: '' },
    ]),
  ),
});

describe('buildGraph', () => {
  it('computes nothing after the captured module for keys, and no softmax', () => {
    const text = textOfGraph(adaptiveModel, 'keys', 'layers[-1].final_layer_norm');
    expect(text).toContain('decoder.layers.3.self_attn.out_proj.weight');
    expect(text).not.toContain('decoder.layers.3.fc1');
    expect(text).not.toContain('adaptive_softmax');
    expect(text).not.toContain('LogSoftmax');
    const early = textOfGraph(adaptiveModel, 'keys', 'layers[1].fc1');
    expect(early).toContain('decoder.layers.1.fc1.weight');
    expect(early).not.toContain('decoder.layers.1.fc2');
    expect(early).not.toContain('decoder.layers.2');
  });

  it('computes the whole model for scores, whichever module is captured', () => {
    const text = textOfGraph(adaptiveModel, 'score', 'layers[0].fc1');
    expect(text).toContain('decoder.layers.3.fc2.weight');
    expect(text).toContain('decoder.adaptive_softmax.tail.1.2.weight');
  });

  it.each([
    ['adaptive', adaptiveModel],
    ['plain', plainModel],
  ])('can capture every module that it lists (%s)', (_, architecture) => {
    for (const { path } of capturableModules(architecture)) {
      for (const purpose of ['keys', 'score', 'step'] as const) {
        expect(textOfGraph(architecture, purpose, path)).toContain(path);
      }
    }
  });

  it('says which tensor the model folder lacks', () => {
    const weights = storedTensorsOf(adaptiveModel);
    weights.delete('decoder.layers.2.fc1.bias');
    const request = { purpose: 'score', module: 'layers[0]', keysDtype: 'fp32' } as const;
    expect(() => buildGraph(adaptiveModel, weights, request)).toThrow(
      expect.objectContaining({
        code: 'MODEL_FOLDER_INCOMPLETE',
        message: expect.stringContaining('2.fc1.bias') as string,
      }),
    );
  });
});

describe('ensureGraph', () => {
  it('writes a file for each purpose, module and precision, once', async () => {
    const folder = await modelFolder();
    const paths = [
      await ensureGraph(folder, 'keys', 'layers[-1].final_layer_norm'),
      await ensureGraph(folder, 'keys', 'layers[3].final_layer_norm', 'fp32'),
      await ensureGraph(folder, 'score', 'layers[-1].final_layer_norm'),
      await ensureGraph(folder, 'score', 'layers.0'),
      await ensureGraph(folder, 'step', 'layers[-1].final_layer_norm'),
    ];
    expect(paths.map((path) => path.slice(folder.folder.length + 1))).toEqual([
      'keys.onnx',
      'keys.layers[3].final_layer_norm.fp32.onnx',
      'score.onnx',
      'score.layers[0].fp32.onnx',
      'step.onnx',
    ]);
    const before = await stat(paths[0]);
    expect(await ensureGraph(folder, 'keys', 'layers.-1.final_layer_norm')).toBe(paths[0]);
    expect((await stat(paths[0])).ino).toBe(before.ino);
    expect(await readdir(folder.folder)).toHaveLength(5);
  });

  it('replaces a graph that another version has built, or that is damaged', async () => {
    const folder = await modelFolder();
    const path = await ensureGraph(folder, 'keys', 'layers[0]');
    const good = await readFile(path);
    await writeFile(path, good.subarray(0, 100));
    await ensureGraph(folder, 'keys', 'layers[0]');
    expect(await readFile(path)).toEqual(good);
  });
});

describe('ensureGraph in a folder that cannot be written', () => {
  it('says which file it could not write', async () => {
    const folder = { ...(await modelFolder()), folder: join(tmpdir(), 'knn-lm-no-such-folder') };
    await expect(ensureGraph(folder, 'keys', 'layers[0]')).rejects.toMatchObject({
      code: 'GRAPH_NOT_WRITTEN',
      message: expect.stringContaining('keys.layers[0].fp16.onnx') as string,
    });
  });
});

describe('modules', () => {
  it('lists what runs, in its order', () => {
    expect(listModules(adaptiveModel).slice(0, 8)).toEqual([
      'embed_tokens',
      'embed_positions',
      'layers[0].self_attn_layer_norm',
      'layers[0].self_attn',
      'layers[0].final_layer_norm',
      'layers[0].fc1',
      'layers[0].fc2',
      'layers[0]',
    ]);
    expect(listModules(plainModel)).toEqual(
      expect.arrayContaining(['project_in_dim', 'layernorm_embedding', 'layer_norm', 'project_out_dim']),
    );
  });

  it.each([
    ['layers[-1].final_layer_norm', 'layers[3].final_layer_norm', 16],
    ['layers[3].fc1', 'layers[3].fc1', 32],
    ['layers[-4]', 'layers[0]', 16],
    ['layers.-2.self_attn', 'layers[2].self_attn', 16],
    ['decoder.layers.1.fc2', 'layers[1].fc2', 16],
    [' layers[ -1 ] ', 'layers[3]', 16],
    ['embed_positions', 'embed_positions', 16],
  ])('finds %s', (path, normalised, dimension) => {
    expect(findModule(adaptiveModel, path)).toMatchObject({ path: normalised, dimension });
  });

  it.each([
    ['layers[-1].final_layernorm', 'layers[3].final_layer_norm'],
    ['layers[4].fc1', 'layers[3].fc1'],
    ['layer[-1]', 'layers[3]'],
    ['embed_position', 'embed_positions'],
    ['', 'layers[3]'],
  ])('suggests what %s may mean', (path, suggestion) => {
    expect(() => findModule(adaptiveModel, path)).toThrow(
      expect.objectContaining({
        code: 'MODULE_UNKNOWN',
        hint: expect.stringMatching(`^Did you mean ${suggestion.replace(/[[\].]/g, '\\$&')}[?]`) as string,
      }),
    );
  });

  it('says how many layers there are when an index is too large', () => {
    expect(() => findModule(adaptiveModel, 'layers[-5]')).toThrow('it has 4 layers, 0 to 3 or -4 to -1');
  });
});
