import { readFileSync } from 'node:fs';
import { RandomAccessFile } from '@knn-lm/common';
import { describe, expect, it } from 'vitest';
import { findModelSettings } from '../src/config/model-settings.js';
import { expectedTensors, openCheckpoint, type Checkpoint, type CheckpointError } from '../src/index.js';
import { unpickle } from '../src/pickle/unpickle.js';
import type { PyValue } from '../src/pickle/values.js';
import { golden, newFile } from './support/files.js';
import {
  recordOf,
  smallArchitecture,
  smallCheckpoint,
  smallSettings,
  type SmallCheckpoint,
} from './support/small-model.js';
import { floatStorage, namespace, tensorRecord, writeLegacy, writeZip } from './support/torch-writer.js';

async function open(checkpoint: SmallCheckpoint, write = writeZip): Promise<Checkpoint> {
  return openCheckpoint(newFile(write(checkpoint.root, checkpoint.storages)));
}

async function failure(opening: Promise<Checkpoint>): Promise<CheckpointError> {
  try {
    (await opening).close();
  } catch (error) {
    return error as CheckpointError;
  }
  throw new Error('no error');
}

function withSettings(settings: Record<string, PyValue>): SmallCheckpoint {
  return smallCheckpoint({ ...smallSettings, ...settings });
}

describe('a small model', () => {
  it.each([
    ['zip', writeZip],
    ['legacy', writeLegacy],
  ] as const)('opens in the %s format', async (format, write) => {
    const checkpoint = await open(smallCheckpoint(), write);
    expect(checkpoint.format).toBe(format);
    expect(checkpoint.config).toEqual(smallArchitecture);
    expect([...checkpoint.tensors.keys()]).toEqual([...expectedTensors(smallArchitecture).keys()]);
    const fc1 = checkpoint.tensors.get('decoder.layers.0.fc1.weight')!;
    expect(fc1.shape).toEqual([6, 4]);
    expect([...fc1.readFloat32(2, 1)].map(Math.floor)).toEqual([8, 9, 10, 11]);
    expect(() => fc1.readFloat32(5, 2)).toThrow(/has 6 rows; rows 5 to 7/);
    checkpoint.close();
  });

  it('has no final norm when decoder.version is 2 or missing', async () => {
    const old = smallCheckpoint();
    old.model.delete('decoder.version');
    expect(await failure(open(old))).toMatchObject({ code: 'CHECKPOINT_TENSOR_UNEXPECTED' });
    old.model.delete('decoder.layer_norm.weight');
    old.model.delete('decoder.layer_norm.bias');
    expect((await open(old)).config.finalNorm).toBe(false);
    old.model.set('decoder.version', tensorRecord(new Map([['0', floatStorage([2])]]), '0', [1], [1]));
    old.storages.set('0', floatStorage([2]));
    expect((await open(old)).config.finalNorm).toBe(false);
  });

  it('says what it has instead of what it should have', async () => {
    const missing = smallCheckpoint();
    missing.model.delete('decoder.layers.0.fc2.bias');
    expect(await failure(open(missing))).toMatchObject({
      code: 'CHECKPOINT_TENSOR_MISSING',
      message: expect.stringMatching(/decoder\.layers\.0\.fc2\.bias \(shape \[4\]\) is missing/) as string,
    });
    const extra = smallCheckpoint();
    extra.model.set('decoder.layers.0.ffn_layernorm.weight', recordOf(extra, 'decoder.layers.0.fc1.bias'));
    expect(await failure(open(extra))).toMatchObject({
      code: 'CHECKPOINT_TENSOR_UNEXPECTED',
      message: expect.stringMatching(/ffn_layernorm\.weight \(shape \[6\]\)/) as string,
    });
    const shape = smallCheckpoint();
    shape.model.set('decoder.layers.0.fc1.bias', recordOf(shape, 'decoder.layers.0.fc2.bias'));
    expect(await failure(open(shape))).toMatchObject({
      code: 'CHECKPOINT_TENSOR_SHAPE',
      message: expect.stringMatching(/fc1\.bias has shape \[4\], but \[6\] is expected/) as string,
    });
  });

  it('needs the parts of a fairseq checkpoint', async () => {
    const without = (key: string): SmallCheckpoint => {
      const checkpoint = smallCheckpoint();
      checkpoint.root.delete(key);
      return checkpoint;
    };
    expect(await failure(open(without('args')))).toMatchObject({
      code: 'CHECKPOINT_NOT_FAIRSEQ',
      message: expect.stringMatching(/neither args nor a cfg with a model; it has 'model'/) as string,
    });
    expect((await failure(open(without('model')))).code).toBe('CHECKPOINT_NOT_FAIRSEQ');
    const list = openCheckpoint(newFile(writeZip([1], new Map())));
    expect(await failure(list)).toMatchObject({ code: 'CHECKPOINT_NOT_FAIRSEQ' });
    const noEmbedding = smallCheckpoint();
    noEmbedding.model.delete('decoder.embed_tokens.weight');
    expect((await failure(open(noEmbedding))).message).toMatch(/has no token embedding/);
  });

  it('shares the output matrix when it is tied or left out', async () => {
    const settings = { share_decoder_input_output_embed: true };
    const tied = withSettings(settings);
    tied.model.set('decoder.output_projection.weight', recordOf(tied, 'decoder.embed_tokens.weight'));
    const left = withSettings(settings);
    left.model.delete('decoder.output_projection.weight');
    for (const each of [tied, left]) {
      const { tensors } = await open(each);
      expect(tensors.get('decoder.output_projection.weight')?.tiedTo).toBe('decoder.embed_tokens.weight');
    }
  });

  it('brings old names up to date', async () => {
    const old = smallCheckpoint();
    const rename = (from: string, to: string): void => {
      old.model.set(to, recordOf(old, from));
      old.model.delete(from);
    };
    for (const kind of ['weight', 'bias']) {
      rename(`decoder.layers.0.self_attn_layer_norm.${kind}`, `decoder.layers.0.layer_norms.0.${kind}`);
      rename(`decoder.layers.0.final_layer_norm.${kind}`, `decoder.layers.0.layer_norms.2.${kind}`);
    }
    rename('decoder.output_projection.weight', 'decoder.embed_out');
    old.model.set('decoder.embed_positions.weights', recordOf(old, 'decoder.version'));
    expect([...(await open(old)).tensors.keys()]).toEqual([...expectedTensors(smallArchitecture).keys()]);
  });

  it('keeps the layers that decoder_layers_to_keep selects', async () => {
    const three = smallCheckpoint(
      { ...smallSettings, decoder_layers: 3, decoder_layers_to_keep: '2,0' },
      {
        ...smallArchitecture,
        layers: 3,
      },
    );
    const { config, tensors } = await open(three);
    expect(config.layers).toBe(2);
    const all = smallCheckpoint({ ...smallSettings, decoder_layers: 3 }, { ...smallArchitecture, layers: 3 });
    const whole = (await open(all)).tensors;
    for (const [kept, original] of [
      [0, 0],
      [1, 2],
    ]) {
      expect(tensors.get(`decoder.layers.${kept}.fc1.weight`)?.readFloat32()).toEqual(
        whole.get(`decoder.layers.${original}.fc1.weight`)?.readFloat32(),
      );
    }
  });
});

describe('settings', () => {
  it('take the place of those in the checkpoint', async () => {
    const { root, storages } = smallCheckpoint();
    const path = newFile(writeZip(root, storages));
    const warnings: string[] = [];
    const { config } = await openCheckpoint(path, {
      modelOverrides: { tokens_per_sample: 512, max_target_positions: 256, data: 'x' },
      logger: { info() {}, warn: (message) => warnings.push(message) },
    });
    expect([config.tokensPerSample, config.maxPositions]).toEqual([512, 256]);
    expect(warnings).toEqual(['model override data: the model has no such setting; it is ignored']);
    expect((await failure(openCheckpoint(path, { modelOverrides: { decoder_layers: [1] } }))).code).toBe(
      'CHECKPOINT_OVERRIDE',
    );
    const wider = openCheckpoint(path, { modelOverrides: { decoder_ffn_embed_dim: 8 } });
    expect((await failure(wider)).message).toMatch(/has shape \[6, 4\], but \[8, 4\] is expected/);
  });

  const unsupported: [string, PyValue][] = [
    ['character_embeddings', true],
    ['base_layers', 1],
    ['decoder_xformers_att_config', '{}'],
    ['quant_noise_scalar', 0.1],
    ['quant_noise_pq', 0.1],
    ['scale_fc', true],
    ['scale_attn', true],
    ['scale_heads', true],
    ['scale_resids', true],
    ['activation_fn', 'glu'],
    ['arch', 'lstm_lm'],
    ['arch', 'transformer_lmx'],
  ];
  it.each(unsupported)('%s = %j is refused by name', async (name, value) => {
    const error = await failure(open(withSettings({ [name]: value })));
    expect(error.code).toBe('CHECKPOINT_UNSUPPORTED');
    expect(error.message).toContain(`${name} is `);
  });

  const impossible: [string, PyValue][] = [
    ['decoder_layers', 1_000_000_000],
    ['decoder_layers', 0],
    ['decoder_layers', 1.5],
    ['decoder_layers', '1'],
    ['decoder_attention_heads', 3],
    ['decoder_embed_dim', null],
    ['decoder_normalize_before', 'yes'],
    ['activation_fn', 7],
    ['adaptive_softmax_cutoff', '5,2'],
    ['adaptive_softmax_cutoff', '5,20'],
    ['adaptive_softmax_cutoff', 'five'],
    ['adaptive_softmax_cutoff', '1,2,3,4,5,6,7,8,9'],
    ['adaptive_input', true],
    ['decoder_layers_to_keep', 'all'],
    ['no_scale_embedding', new Map()],
  ];
  it.each(impossible)('%s = %j is an error that names it', async (name, value) => {
    const error = await failure(open(withSettings({ [name]: value })));
    expect(error.code).toBe('CHECKPOINT_SETTING');
    expect(error.message).toMatch(/(decoder|activation|adaptive|no)_\w+ is /);
  });

  it('of an old wiki103 checkpoint come from the architecture', async () => {
    const path = newFile('x');
    const root = new Map<PyValue, PyValue>([
      [
        'args',
        namespace({ arch: 'transformer_lm_wiki103', no_tie_adaptive_proj: false, tokens_per_sample: 3072 }),
      ],
    ]);
    const { applyDefaults } = await import('../src/config/architecture-defaults.js');
    const { readArchitecture } = await import('../src/config/read-architecture.js');
    const model = findModelSettings(path, root);
    applyDefaults(model.settings, model.name);
    const config = readArchitecture(model, { vocabSize: 267_744, decoderVersion: 3, layerCount: 16 });
    // The model of Baevski and Auli (2018): 247 million parameters.
    expect(config).toMatchObject({
      layers: 16,
      embedDim: 1024,
      ffnDim: 4096,
      heads: 8,
      finalNorm: false,
      normalizeBefore: true,
      tieAdaptiveProj: true,
      maxPositions: 3072,
      embedScale: 32,
    });
    expect(config.adaptiveInput).toEqual({
      cutoffs: [20_000, 60_000, 267_744],
      factor: 4,
      widths: [1024, 256, 64],
    });
  });

  it('are read from an OmegaConf configuration', () => {
    // pickle.dumps({'args': None, 'cfg': OmegaConf.create({'model': model_cfg, 'task': …}), protocol=2) of OmegaConf
    // 2.3.1, with tokens_per_sample: '${task.tokens_per_sample}' and activation_fn an enum member.
    const file = new RandomAccessFile(golden('omegaconf-2.3.1.pkl'));
    const root = unpickle(file, 0).value as Map<PyValue, PyValue>;
    file.close();
    const { name, settings } = findModelSettings('x', root);
    expect(name).toBe('transformer_lm_wiki103');
    expect(settings.count('tokens_per_sample')).toBe(64);
    expect(settings.text('activation_fn')).toBe('relu');
    const plain = JSON.parse(readFileSync(golden('model_cfg.json'), 'utf8')) as Record<string, PyValue>;
    for (const [key, value] of Object.entries(plain)) {
      if (!['tokens_per_sample', 'activation_fn'].includes(key)) expect(settings.get(key)).toEqual(value);
    }
  });

  it('that refer to each other in a circle lead nowhere', () => {
    const model = new Map<PyValue, PyValue>([
      ['_name', 'transformer_lm'],
      ['decoder_layers', '${model.decoder_embed_dim}'],
      ['decoder_embed_dim', '${model.decoder_layers}'],
      ['tokens_per_sample', '${nowhere.x}'],
    ]);
    const root = new Map<PyValue, PyValue>([['cfg', new Map([['model', model]])]]);
    const { settings } = findModelSettings('x', root);
    expect(settings.get('tokens_per_sample')).toBeNull();
    expect(() => settings.count('decoder_layers')).toThrow(/decoder_layers is '\$\{model/);
  });
});
