/** The activation of the feed-forward layers; `gelu_fast` of old configurations is `gelu_accurate` (fairseq/utils.py). */
export type Activation = 'relu' | 'relu_squared' | 'gelu' | 'gelu_accurate' | 'tanh' | 'linear' | 'swish';

/** Where the positions come from: a fixed table of sines and cosines, a trained table, or nowhere. */
export type Positions = 'sinusoidal' | 'learned' | 'none';

/**
 * A vocabulary cut into bands of falling frequency, each with a narrower embedding
 * (Baevski and Auli, 2018, "Adaptive Input Representations for Neural Language Modeling").
 */
export interface AdaptiveBands {
  /** End of each band, ascending; the last one is the vocabulary size. Band i is `[cutoffs[i - 1], cutoffs[i])`. */
  readonly cutoffs: readonly number[];
  /** Each band's width is that of the one before divided by this. */
  readonly factor: number;
  /**
   * Width of each band: `floor(inputDim / factor^i)` for the input, `floor(outputDim / factor^i)` for the softmax,
   * where band 0 (the head) has the full width.
   */
  readonly widths: readonly number[];
}

/**
 * Everything that decides what a fairseq transformer language model computes, apart from the weights.
 *
 * Names of tensors are fairseq's, with the prefix `decoder.`; {@link expectedTensors} lists them with their shapes.
 */
export interface LmArchitecture {
  /** fairseq's name of the model or architecture, such as `transformer_lm_wiki103`. For people; nothing depends on it. */
  readonly name: string;
  /** Number of entries of the dictionary, special symbols included. */
  readonly vocabSize: number;
  /** Number of transformer layers. */
  readonly layers: number;
  /** Width of the hidden states (C). */
  readonly embedDim: number;
  /** Width of the token embedding; where it differs from `embedDim` (and input is not adaptive), `project_in_dim` follows. */
  readonly inputDim: number;
  /** Width of the features that the output layer sees; where it differs from `embedDim`, `project_out_dim` comes before. */
  readonly outputDim: number;
  /** Width of the feed-forward layers. */
  readonly ffnDim: number;
  /** Number of attention heads; each is `embedDim / heads` wide. */
  readonly heads: number;
  /** Layer norm before each block (pre-norm) or after its residual (post-norm). */
  readonly normalizeBefore: boolean;
  /** A layer norm after the last layer (`decoder.layer_norm`). */
  readonly finalNorm: boolean;
  /** A layer norm on the sum of token and position embeddings (`decoder.layernorm_embedding`). */
  readonly layerNormEmbedding: boolean;
  /** Activation of the feed-forward layers. */
  readonly activation: Activation;
  /** Factor on the token embeddings before the positions are added: `sqrt(embedDim)`, or 1. */
  readonly embedScale: number;
  /** Kind of position embedding. The first token has position `padIndex + 1`. */
  readonly positions: Positions;
  /** Longest input; the learned table has `maxPositions + padIndex + 1` rows. */
  readonly maxPositions: number;
  /** Id of the padding symbol. */
  readonly padIndex: number;
  /** Adaptive token embedding, or a plain one. */
  readonly adaptiveInput: AdaptiveBands | undefined;
  /** Adaptive softmax, or a plain one. */
  readonly adaptiveSoftmax: AdaptiveBands | undefined;
  /** The bands of the softmax use the embeddings of the input (`head.word_proj`, `tail.N.2`). */
  readonly tieAdaptiveWeights: boolean;
  /** The projections of the softmax tails are those of the input, transposed: `tail.N.0.weight` is `[embedDim, width]` then. */
  readonly tieAdaptiveProj: boolean;
  /** A plain output layer uses the token embedding's matrix. */
  readonly shareInputOutputEmbed: boolean;
  /** Each sample begins with `<s>` (the task adds it; its score is dropped). */
  readonly addBosToken: boolean;
  /** Tokens in a training sample. */
  readonly tokensPerSample: number;
}

/** The layer norms have this epsilon (torch.nn.LayerNorm's default, which fairseq keeps). */
export const layerNormEpsilon = 1e-5;
