// The tiny models were trained and saved by fairseq 0.12.1 (torch 1.13.1); state_dict_shapes.json lists name, shape and
// dtype of each tensor, model_cfg.json the settings.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { float16FromFloat32, float32FromFloat16 } from '@knn-lm/common';
import { fixture, fixturesFolder } from '@knn-lm/testing';
import { describe, expect, it } from 'vitest';
import { openCheckpoint, type Checkpoint } from '../src/index.js';
import { golden } from './support/files.js';

type Shapes = Record<string, (number | string)[]>;
type Settings = Record<string, unknown>;

function json<T>(path: string): T {
  return JSON.parse(readFileSync(path, 'utf8')) as T;
}

/** Buffers that are in the state dict and are no parameters. */
const buffers = /_float_tensor$|version$/;

function expectShapes({ tensors }: Checkpoint, shapes: Shapes): void {
  const parameters = Object.entries(shapes).filter(([name]) => !buffers.test(name));
  expect([...tensors.keys()].sort()).toEqual(parameters.map(([name]) => name).sort());
  for (const [name, shapeAndDtype] of parameters) {
    expect([...tensors.get(name)!.shape, 'torch.float32']).toEqual(shapeAndDtype);
  }
}

function expectSettings({ config }: Checkpoint, cfg: Settings): void {
  expect(config).toMatchObject({
    name: cfg['_name'],
    layers: cfg['decoder_layers'],
    embedDim: cfg['decoder_embed_dim'],
    inputDim: cfg['decoder_input_dim'],
    outputDim: cfg['decoder_output_dim'],
    ffnDim: cfg['decoder_ffn_embed_dim'],
    heads: cfg['decoder_attention_heads'],
    normalizeBefore: cfg['decoder_normalize_before'],
    finalNorm: cfg['decoder_normalize_before'] === true && cfg['no_decoder_final_norm'] === false,
    layerNormEmbedding: cfg['layernorm_embedding'],
    activation: cfg['activation_fn'],
    embedScale: cfg['no_scale_embedding'] === true ? 1 : Math.sqrt(Number(cfg['decoder_embed_dim'])),
    maxPositions: cfg['max_target_positions'] ?? cfg['tokens_per_sample'],
    tieAdaptiveWeights: cfg['tie_adaptive_weights'],
    tieAdaptiveProj: cfg['tie_adaptive_proj'],
    shareInputOutputEmbed: cfg['share_decoder_input_output_embed'],
    addBosToken: cfg['add_bos_token'],
    tokensPerSample: cfg['tokens_per_sample'],
  });
  const cutoffs = (setting: unknown): number[] | undefined =>
    typeof setting === 'string' ? [...setting.split(',').map(Number), config.vocabSize] : undefined;
  expect(config.adaptiveInput?.cutoffs).toEqual(cutoffs(cfg['adaptive_input_cutoff']));
  expect(config.adaptiveSoftmax?.cutoffs).toEqual(cutoffs(cfg['adaptive_softmax_cutoff']));
  const learned = cfg['decoder_learned_pos'] === true ? 'learned' : 'sinusoidal';
  expect(config.positions).toBe(cfg['no_token_positional_embeddings'] === true ? 'none' : learned);
}

function expectSameTensors(a: Checkpoint, b: Checkpoint): void {
  expect([...a.tensors.keys()]).toEqual([...b.tensors.keys()]);
  for (const [name, tensor] of a.tensors) {
    expect(tensor.readFloat32()).toEqual(b.tensors.get(name)!.readFloat32());
  }
}

/** Everything that is known of one model, whatever formats it is there in. */
async function checkModel(folder: string, goldenFolder: string): Promise<number> {
  const zip = await openCheckpoint(join(folder, 'model.zip.pt'));
  const shapes = json<Shapes>(join(goldenFolder, 'state_dict_shapes.json'));
  const settings = json<Settings>(join(goldenFolder, 'model_cfg.json'));
  expectShapes(zip, shapes);
  expectSettings(zip, settings);
  await zip.verify();
  const others = ['model.legacy.pt', 'model.legacy.inproj.pt'].filter((name) =>
    existsSync(join(folder, name)),
  );
  for (const name of others) {
    const legacy = await openCheckpoint(join(folder, name));
    expect(legacy.format).toBe('legacy');
    expect(legacy.config).toEqual(zip.config);
    expectShapes(legacy, shapes);
    expectSameTensors(legacy, zip);
    legacy.close();
  }
  zip.close();
  return others.length;
}

describe('the wiki103 model in this package', () => {
  it('opens in the zip format and in the legacy format with fused projections, with the same tensors', async () => {
    expect(await checkModel(dirname(golden('model.zip.pt')), dirname(golden('model.zip.pt')))).toBe(1);
  });

  it('has half precision weights that widen to the rounded ones', async () => {
    const full = await openCheckpoint(golden('model.zip.pt'));
    const half = await openCheckpoint(golden('model.zip.fp16.pt'));
    expect(half.config).toEqual(full.config);
    for (const [name, tensor] of full.tensors) {
      const rounded = float32FromFloat16(float16FromFloat32(tensor.readFloat32()));
      expect(half.tensors.get(name)!.dtype).toBe('float16');
      expect(half.tensors.get(name)!.readFloat32()).toEqual(rounded);
    }
    full.close();
    half.close();
  });

  it('knows which tensors are tied', async () => {
    const checkpoint = await openCheckpoint(golden('model.zip.pt'));
    const tied = [...checkpoint.tensors.values()].flatMap(({ name, tiedTo }) =>
      tiedTo === undefined ? [] : [[name, tiedTo]],
    );
    const softmax = 'decoder.adaptive_softmax';
    const embeddings = 'decoder.embed_tokens.embeddings';
    expect(tied).toEqual([
      [`${softmax}.head.word_proj.weight`, `${embeddings}.0.0.weight`],
      [`${softmax}.tail.0.0.weight`, `${embeddings}.1.1.weight`],
      [`${softmax}.tail.0.2.weight`, `${embeddings}.1.0.weight`],
      [`${softmax}.tail.1.0.weight`, `${embeddings}.2.1.weight`],
      [`${softmax}.tail.1.2.weight`, `${embeddings}.2.0.weight`],
    ]);
    checkpoint.close();
  });
});

describe.skipIf(fixturesFolder === undefined)('all golden models', () => {
  const names =
    fixturesFolder === undefined
      ? []
      : readdirSync(fixture('tiny_models')).filter((name) => !name.includes('.'));

  it.each(names)('%s opens in every format', async (name) => {
    expect(
      await checkModel(fixture('tiny_models', name), fixture('tiny_models', name, 'golden')),
    ).toBeGreaterThan(0);
  });

  it('the trained model opens', async () => {
    await checkModel(fixture('model'), fixture('model', 'golden'));
  });

  it('the demo model opens; its weights are in half precision', async () => {
    const checkpoint = await openCheckpoint(fixture('demo', 'model.pt'));
    expect(checkpoint.config).toMatchObject({
      vocabSize: 16_536,
      layers: 4,
      embedDim: 256,
      maxPositions: 256,
    });
    expect(new Set([...checkpoint.tensors.values()].map(({ dtype }) => dtype))).toEqual(new Set(['float16']));
    checkpoint.close();
  });
});
