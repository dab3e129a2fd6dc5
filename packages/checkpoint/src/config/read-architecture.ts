import type { Activation, AdaptiveBands, LmArchitecture, Positions } from '../architecture.js';
import type { ModelSettings } from './model-settings.js';
import { refuseUnsupported } from './refusals.js';
import type { Settings } from './settings.js';

/** What only the tensors tell. */
export interface TensorFacts {
  /** Number of words, from the rows of the embedding or output matrices. */
  readonly vocabSize: number;
  /** Value of the buffer `decoder.version`; 1 where it is missing (transformer_decoder.py, upgrade_state_dict_named). */
  readonly decoderVersion: number;
  /** Number of layers for which there are tensors. */
  readonly layerCount: number;
}

const activations = new Map<string, Activation>([
  ['relu', 'relu'],
  ['relu_squared', 'relu_squared'],
  ['gelu', 'gelu'],
  ['gelu_fast', 'gelu_accurate'], // renamed (fairseq/utils.py, get_activation_fn)
  ['gelu_accurate', 'gelu_accurate'],
  ['tanh', 'tanh'],
  ['linear', 'linear'],
  ['swish', 'swish'],
]);

/** The padding symbol of every fairseq dictionary. */
const PAD_INDEX = 1;
/** Bands of an adaptive vocabulary; published models have 3 or 4. */
const MAX_BANDS = 64;
/** Longest input of a model whose settings do not say (`DEFAULT_MAX_TARGET_POSITIONS`). */
const DEFAULT_MAX_POSITIONS = 1024;

/**
 * Makes the architecture from a checkpoint's settings, with fairseq's rules
 * (fairseq/models/transformer_lm.py, fairseq/models/transformer/transformer_decoder.py).
 *
 * @param model - name and settings, defaults filled in
 * @param facts - what the tensors tell
 * @throws {@link CheckpointError} `CHECKPOINT_SETTING`, `CHECKPOINT_UNSUPPORTED`
 */
export function readArchitecture({ name, settings }: ModelSettings, facts: TensorFacts): LmArchitecture {
  refuseUnsupported(settings);
  const embedDim = settings.count('decoder_embed_dim');
  const normalizeBefore = settings.flag('decoder_normalize_before');
  const adaptiveInput = settings.flag('adaptive_input')
    ? readBands(settings, 'adaptive_input', 'decoder_input_dim', facts.vocabSize)
    : undefined;
  const adaptiveSoftmax =
    settings.counts('adaptive_softmax_cutoff') === undefined
      ? undefined
      : readBands(settings, 'adaptive_softmax', 'decoder_output_dim', facts.vocabSize);
  const architecture: LmArchitecture = {
    name,
    vocabSize: facts.vocabSize,
    layers: readLayers(settings, facts.layerCount),
    embedDim,
    inputDim: settings.count('decoder_input_dim'),
    outputDim: settings.count('decoder_output_dim'),
    ffnDim: settings.count('decoder_ffn_embed_dim'),
    heads: settings.count('decoder_attention_heads'),
    normalizeBefore,
    // "earlier checkpoints did not normalize after the stack of layers"
    finalNorm: normalizeBefore && !settings.flag('no_decoder_final_norm') && facts.decoderVersion > 2,
    layerNormEmbedding: settings.flag('layernorm_embedding'),
    activation: readActivation(settings),
    embedScale: settings.flag('no_scale_embedding') ? 1 : Math.sqrt(embedDim),
    positions: readPositions(settings),
    maxPositions:
      settings.optionalCount('max_target_positions') ??
      settings.optionalCount('tokens_per_sample') ??
      DEFAULT_MAX_POSITIONS,
    padIndex: PAD_INDEX,
    adaptiveInput,
    adaptiveSoftmax,
    tieAdaptiveWeights: settings.flag('tie_adaptive_weights') && adaptiveSoftmax !== undefined,
    tieAdaptiveProj: settings.flag('tie_adaptive_proj') && settings.flag('tie_adaptive_weights'),
    shareInputOutputEmbed: settings.flag('share_decoder_input_output_embed') && adaptiveSoftmax === undefined,
    addBosToken: settings.flag('add_bos_token'),
    tokensPerSample:
      settings.optionalCount('tokens_per_sample') ??
      settings.optionalCount('max_target_positions') ??
      DEFAULT_MAX_POSITIONS,
  };
  checkWidths(settings, architecture);
  return architecture;
}

function readActivation(settings: Settings): Activation {
  const activation = activations.get(settings.text('activation_fn'));
  if (activation === undefined) throw settings.refuse('activation_fn', 'this activation is');
  return activation;
}

function readPositions(settings: Settings): Positions {
  if (settings.flag('no_token_positional_embeddings')) return 'none';
  return settings.flag('decoder_learned_pos') ? 'learned' : 'sinusoidal';
}

/** The number is also checked against the tensors here, so that nothing is ever made for layers that do not exist. */
function readLayers(settings: Settings, layerCount: number): number {
  const layers = layersToKeep(settings)?.length ?? settings.count('decoder_layers');
  if (layers > layerCount) {
    throw settings.fail('decoder_layers', `but the checkpoint has tensors for ${layerCount} layers`);
  }
  return layers;
}

/** The layers that `decoder_layers_to_keep` selects, ascending, or `undefined` for all of them. */
export function layersToKeep(settings: Settings): number[] | undefined {
  if (settings.get('decoder_layers_to_keep') === '') return undefined;
  return settings.counts('decoder_layers_to_keep')?.sort((a, b) => a - b);
}

/** Cutoffs, factor and widths as `AdaptiveInput` and `AdaptiveSoftmax` compute them. */
function readBands(
  settings: Settings,
  kind: 'adaptive_input' | 'adaptive_softmax',
  widthName: string,
  vocabSize: number,
): AdaptiveBands {
  const cutoffs = settings.counts(`${kind}_cutoff`) ?? [];
  const factor = settings.number(`${kind}_factor`);
  const width = settings.count(widthName);
  const last = cutoffs[cutoffs.length - 1] ?? 0;
  const ascending = cutoffs.every((end, i) => end > (cutoffs[i - 1] ?? 0));
  if (!ascending || cutoffs.length >= MAX_BANDS || last > vocabSize || last === 0) {
    throw settings.fail(
      `${kind}_cutoff`,
      `ascending ends of bands within the vocabulary of ${vocabSize} are expected`,
    );
  }
  if (vocabSize > last) cutoffs.push(vocabSize);
  const widths = cutoffs.map((_, i) => Math.floor(width / factor ** i));
  if (!(factor > 0) || widths.some((each) => each < 1 || each > width)) {
    throw settings.fail(
      `${kind}_factor`,
      `it leaves no width for some of ${cutoffs.length} bands of ${width}`,
    );
  }
  return { cutoffs, factor, widths };
}

/** The assertions that fairseq makes when it builds the model, and what would fail there when it runs. */
function checkWidths(settings: Settings, model: LmArchitecture): void {
  const { embedDim, inputDim, outputDim, heads } = model;
  if (embedDim % heads !== 0) {
    throw settings.fail(
      'decoder_attention_heads',
      `a divisor of decoder_embed_dim (${embedDim}) is expected`,
    );
  }
  if (model.positions === 'sinusoidal' && embedDim % 2 !== 0) {
    throw settings.refuse('decoder_embed_dim', 'an odd width with sinusoidal positions is');
  }
  if (model.shareInputOutputEmbed && (model.adaptiveInput !== undefined || inputDim !== outputDim)) {
    throw settings.fail(
      'share_decoder_input_output_embed',
      'a plain embedding with equal decoder_input_dim and decoder_output_dim is needed for it',
    );
  }
  if (!model.tieAdaptiveWeights) return;
  const [input, softmax] = [model.adaptiveInput, model.adaptiveSoftmax];
  const same =
    input !== undefined &&
    softmax !== undefined &&
    input.factor === softmax.factor &&
    input.cutoffs.join() === softmax.cutoffs.join();
  if (!same || inputDim !== outputDim || outputDim !== embedDim) {
    throw settings.fail(
      'tie_adaptive_weights',
      'equal cutoffs and factors, and one width for input, layers and output, are needed for it',
    );
  }
}
