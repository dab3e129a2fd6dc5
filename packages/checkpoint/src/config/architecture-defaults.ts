import type { PyValue } from '../pickle/values.js';
import type { Settings } from './settings.js';

type Defaults = Readonly<Record<string, PyValue>>;

const big: Defaults = {
  decoder_layers: 12,
  decoder_embed_dim: 1024,
  decoder_ffn_embed_dim: 4096,
  decoder_attention_heads: 16,
};

const wiki103: Defaults = {
  ...big,
  decoder_layers: 16,
  decoder_attention_heads: 8,
  adaptive_input: true,
  tie_adaptive_weights: true,
  adaptive_input_cutoff: '20000,60000',
  adaptive_softmax_cutoff: '20000,60000',
  no_decoder_final_norm: true,
  tie_adaptive_proj: true,
};

const gbw: Defaults = { ...big, decoder_embed_dim: 512, no_decoder_final_norm: true };

function gpt(layers: number, embedDim: number, ffnDim: number, heads: number): Defaults {
  return {
    decoder_layers: layers,
    decoder_embed_dim: embedDim,
    decoder_ffn_embed_dim: ffnDim,
    decoder_attention_heads: heads,
    activation_fn: 'gelu',
  };
}

function gpt3(layers: number, embedDim: number, heads: number): Defaults {
  return {
    ...gpt(layers, embedDim, 4 * embedDim, heads),
    decoder_learned_pos: true,
    share_decoder_input_output_embed: true,
  };
}

/** What each named architecture of fairseq/models/transformer_lm.py sets where the command line does not. */
const architectures = new Map<string, Defaults>([
  ['transformer_lm', {}],
  ['transformer_lm_big', big],
  ['transformer_lm_wiki103', wiki103],
  ['transformer_lm_baevski_wiki103', wiki103],
  ['transformer_lm_gbw', gbw],
  ['transformer_lm_baevski_gbw', gbw],
  ['transformer_lm_gpt', gpt(12, 768, 3072, 12)],
  ['transformer_lm_gpt2_tiny', gpt(2, 64, 64, 1)],
  ['transformer_lm_gpt2_small', gpt(24, 1024, 4096, 16)],
  ['transformer_lm_gpt2_medium', gpt(36, 1280, 5120, 20)],
  ['transformer_lm_gpt2_big', gpt(48, 1600, 6400, 25)],
  ['transformer_lm_gpt2_big_wide', gpt(24, 2048, 8192, 32)],
  ['transformer_lm_gpt2_bigger', gpt(48, 2048, 8192, 32)],
  ['transformer_lm_gpt3_small', gpt3(12, 768, 12)],
  ['transformer_lm_gpt3_medium', gpt3(24, 1024, 16)],
  ['transformer_lm_gpt3_large', gpt3(24, 1536, 16)],
  ['transformer_lm_gpt3_xl', gpt3(24, 2048, 32)],
  ['transformer_lm_gpt3_2_7', gpt3(32, 2560, 32)],
  ['transformer_lm_gpt3_6_7', gpt3(32, 4096, 32)],
  ['transformer_lm_gpt3_13', gpt3(40, 5120, 40)],
  ['transformer_lm_gpt3_175', gpt3(96, 12288, 96)],
]);

/** Defaults of `TransformerLanguageModelConfig` and `base_lm_architecture`; widths follow `decoder_embed_dim`. */
const base: Defaults = {
  activation_fn: 'relu',
  decoder_embed_dim: 512,
  decoder_ffn_embed_dim: 2048,
  decoder_layers: 6,
  decoder_attention_heads: 8,
  adaptive_softmax_factor: 4,
  adaptive_input_factor: 4,
  decoder_normalize_before: false,
  no_decoder_final_norm: false,
  no_token_positional_embeddings: false,
  decoder_learned_pos: false,
  share_decoder_input_output_embed: false,
  layernorm_embedding: false,
  no_scale_embedding: false,
  adaptive_input: false,
  adaptive_input_cutoff: null,
  adaptive_softmax_cutoff: null,
  tie_adaptive_weights: false,
  tie_adaptive_proj: false,
  decoder_layers_to_keep: null,
  add_bos_token: false,
  tokens_per_sample: null,
  max_target_positions: null,
};

/**
 * Fills in what a checkpoint leaves out, as fairseq does when it builds the model. Old checkpoints lack the options that
 * came after them.
 *
 * @param settings - changed in place
 * @param name - name of the model or architecture
 */
export function applyDefaults(settings: Settings, name: string): void {
  // An architecture of the user's own has no defaults here; a checkpoint of fairseq 0.10 and later needs none.
  const defaults = architectures.get(name) ?? {};
  // "previous models defined --no-tie-adaptive-proj, so use the existence of that option to determine if this is an old
  // model checkpoint" (base_lm_architecture)
  if (settings.has('no_tie_adaptive_proj')) {
    settings.set('no_decoder_final_norm', true);
    if (!settings.flag('no_tie_adaptive_proj')) settings.set('tie_adaptive_proj', true);
  }
  if (settings.has('decoder_final_norm')) {
    settings.set('no_decoder_final_norm', !settings.flag('decoder_final_norm'));
  }
  // The architecture functions insist on pre-norm; the plain transformer_lm leaves it to the option.
  if (name !== 'transformer_lm' && architectures.has(name)) settings.set('decoder_normalize_before', true);
  for (const [key, value] of Object.entries({ ...base, ...defaults })) settings.setDefault(key, value);
  settings.setDefault('decoder_output_dim', settings.get('decoder_embed_dim') ?? null);
  settings.setDefault('decoder_input_dim', settings.get('decoder_embed_dim') ?? null);
}
