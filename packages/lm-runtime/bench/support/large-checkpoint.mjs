// Writes a fairseq checkpoint (the format before torch 1.6) of random weights, tensor by tensor, for measurements.
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { expectedTensors } from '@knn-lm/checkpoint';

/** The architecture of Baevski and Auli (2018) that kNN-LM was published with: 247 million parameters. */
export const originalSettings = {
  arch: 'transformer_lm_wiki103',
  activation_fn: 'relu',
  decoder_embed_dim: 1024,
  decoder_output_dim: 1024,
  decoder_input_dim: 1024,
  decoder_ffn_embed_dim: 4096,
  decoder_layers: 16,
  decoder_attention_heads: 8,
  decoder_normalize_before: true,
  no_decoder_final_norm: true,
  adaptive_input: true,
  adaptive_input_factor: 4,
  adaptive_input_cutoff: '20000,60000',
  adaptive_softmax_cutoff: '20000,60000',
  adaptive_softmax_factor: 4,
  tie_adaptive_weights: true,
  tie_adaptive_proj: true,
  tokens_per_sample: 3072,
  max_target_positions: 3072,
};

export const originalVocabulary = 267744;

/** What {@link originalSettings} mean, for the shapes of the tensors. */
function architectureOf(settings, vocabSize) {
  const { decoder_embed_dim: embedDim, adaptive_input_factor: factor } = settings;
  const cutoffs = [...settings.adaptive_input_cutoff.split(',').map(Number), vocabSize];
  const bands = { cutoffs, factor, widths: cutoffs.map((_, i) => Math.floor(embedDim / factor ** i)) };
  return {
    ...{ vocabSize, embedDim, inputDim: embedDim, outputDim: embedDim },
    layers: settings.decoder_layers,
    ffnDim: settings.decoder_ffn_embed_dim,
    heads: settings.decoder_attention_heads,
    ...{ normalizeBefore: true, finalNorm: false, layerNormEmbedding: false },
    ...{ activation: 'relu', embedScale: Math.sqrt(embedDim), positions: 'sinusoidal' },
    ...{ maxPositions: settings.tokens_per_sample, padIndex: 1 },
    ...{ adaptiveInput: bands, adaptiveSoftmax: bands, tieAdaptiveWeights: true, tieAdaptiveProj: true },
    ...{ shareInputOutputEmbed: false, addBosToken: false, tokensPerSample: settings.tokens_per_sample },
  };
}

/** Tensors that training ties: they share a storage. */
function tiedTo(name) {
  const word = /adaptive_softmax\.head\.word_proj\.weight$/.test(name);
  const tail = /adaptive_softmax\.tail\.(\d+)\.([02])\.weight$/.exec(name);
  if (word) return 'decoder.embed_tokens.embeddings.0.0.weight';
  if (tail === null) return undefined;
  return `decoder.embed_tokens.embeddings.${Number(tail[1]) + 1}.${tail[2] === '2' ? 0 : 1}.weight`;
}

const elements = (shape) => shape.reduce((product, length) => product * length, 1);

/** Standard deviation: norms are 1 and 0, matrices keep the size of what they multiply. */
function spreadOf(name, shape) {
  if (/layer_norm\.weight$/.test(name)) return { mean: 1, spread: 0.1 };
  if (shape.length === 1) return { mean: 0, spread: 0.02 };
  if (/embed_tokens\.embeddings\.\d\.0/.test(name)) return { mean: 0, spread: shape[1] ** -0.5 };
  return { mean: 0, spread: shape[1] ** -0.5 };
}

let state = 0x9e3779b9;
/** About normal, mean 0 and deviation 1: the sum of 4 uniform bytes. */
function random() {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  const sum = (state & 255) + ((state >>> 8) & 255) + ((state >>> 16) & 255) + (state >>> 24);
  return (sum - 510) / 147.8;
}

const int = (value) => {
  const bytes = Buffer.from('J    ');
  bytes.writeInt32LE(value, 1);
  return bytes;
};
const text = (value) => {
  const length = Buffer.alloc(5, 'X');
  length.writeUInt32LE(Buffer.byteLength(value), 1);
  return Buffer.concat([length, Buffer.from(value)]);
};
const code = (value) => Buffer.from(value, 'latin1');
function scalar(value) {
  if (typeof value === 'boolean') return code(value ? '\x88' : '\x89');
  return typeof value === 'number' ? int(value) : text(value);
}
const pickle = (...parts) => Buffer.concat([code('\x80\x02'), ...parts, code('.')]);
const tuple = (parts) => Buffer.concat([code('('), ...parts, code('t')]);

function tensorRecord(key, shape, offsetCount) {
  const strides = shape.map((_, axis) => elements(shape.slice(axis + 1)));
  const id = tuple([
    text('storage'),
    code('ctorch\nFloatStorage\n'),
    text(key),
    text('cpu'),
    int(offsetCount),
    code('N'),
  ]);
  const args = [
    id,
    code('Q'),
    int(0),
    tuple(shape.map(int)),
    tuple(strides.map(int)),
    code('\x89'),
    code('}'),
  ];
  return Buffer.concat([code('ctorch._utils\n_rebuild_tensor_v2\n'), tuple(args), code('R')]);
}

/**
 * @param path - the new file
 * @param settings - as fairseq's command line gives them; see {@link originalSettings}
 */
export async function writeRandomCheckpoint(
  path,
  settings = originalSettings,
  vocabSize = originalVocabulary,
) {
  const shapes = expectedTensors(architectureOf(settings, vocabSize));
  const keys = new Map(
    [...shapes.keys()].filter((name) => !tiedTo(name)).map((name, i) => [name, String(i)]),
  );
  const records = [...shapes].map(([name, shape]) =>
    Buffer.concat([text(name), tensorRecord(keys.get(tiedTo(name) ?? name), shape, elements(shape))]),
  );
  const args = Object.entries(settings).map(([name, value]) => Buffer.concat([text(name), scalar(value)]));
  const namespace = [code('cargparse\nNamespace\n)R}('), ...args, code('ub')];
  const magic = Buffer.from([
    0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e,
  ]);
  const file = createWriteStream(path);
  const write = async (bytes) => {
    if (!file.write(bytes)) await once(file, 'drain');
  };
  await write(magic);
  await write(pickle(int(1001)));
  await write(pickle(code('}('), text('little_endian'), code('\x88u')));
  await write(
    pickle(code('}('), text('args'), ...namespace, text('model'), code('}('), ...records, code('uu')),
  );
  await write(pickle(code('('), ...[...keys.values()].map(text), code('t')));
  for (const name of keys.keys()) {
    const shape = shapes.get(name);
    const count = Buffer.alloc(8);
    count.writeBigInt64LE(BigInt(elements(shape)));
    await write(count);
    const { mean, spread } = spreadOf(name, shape);
    for (let left = elements(shape); left > 0; left -= 2 ** 20) {
      const values = Float32Array.from({ length: Math.min(left, 2 ** 20) }, () => mean + spread * random());
      await write(Buffer.from(values.buffer));
    }
  }
  file.end();
  await once(file, 'close');
}
