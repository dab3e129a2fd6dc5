import type { Settings } from './settings.js';

/** Settings that change what the model computes in ways that the graphs do not have. */
const flags: [name: string, what: string][] = [
  ['character_embeddings', 'character convolutions are'],
  ['scale_fc', 'layer norms inside the feed-forward layers (NormFormer) are'],
  ['scale_attn', 'layer norms inside the attention (NormFormer) are'],
  ['scale_heads', 'factors on the attention heads (NormFormer) are'],
  ['scale_resids', 'factors on the residuals (NormFormer) are'],
];

/**
 * Refuses a model that cannot be converted, by the name of the setting.
 *
 * @throws {@link CheckpointError} `CHECKPOINT_UNSUPPORTED`
 */
export function refuseUnsupported(settings: Settings): void {
  for (const [name, what] of flags) if (settings.flag(name)) throw settings.refuse(name, what);
  if (settings.number('base_layers') > 0)
    throw settings.refuse('base_layers', 'mixture-of-experts layers are');
  const xformers = settings.get('decoder_xformers_att_config');
  if (xformers !== undefined && xformers !== null) {
    throw settings.refuse('decoder_xformers_att_config', 'attention variants of xFormers are');
  }
  // fairseq keeps rounding the weights to 8 bits in evaluation (modules/quantization/scalar).
  if (settings.number('quant_noise_scalar') > 0) {
    throw settings.refuse('quant_noise_scalar', 'scalar quantization is');
  }
  // Noise on the weights is gone in evaluation, but this adds a layer after the embedding (transformer_decoder.py).
  if (settings.number('quant_noise_pq') > 0 && !settings.flag('adaptive_input')) {
    throw settings.refuse('quant_noise_pq', 'quantization noise on a plain embedding is');
  }
}
