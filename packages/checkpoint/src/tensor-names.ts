import type { AdaptiveBands, LmArchitecture } from './architecture.js';

/** Shapes of the parameters by name, in fairseq's order of modules. */
export type TensorShapes = Map<string, readonly number[]>;

/** Adds weight and bias of a linear layer (`[out, in]`) or of a layer norm (`[width]`). */
function addWithBias(shapes: TensorShapes, name: string, ...shape: number[]): void {
  shapes.set(`${name}.weight`, shape);
  shapes.set(`${name}.bias`, shape.slice(0, 1));
}

/** Number of words in each band. */
export function bandSizes(bands: AdaptiveBands): number[] {
  return bands.cutoffs.map((end, i) => end - (i === 0 ? 0 : bands.cutoffs[i - 1]));
}

function addEmbedding(shapes: TensorShapes, model: LmArchitecture): void {
  if (model.adaptiveInput === undefined) {
    shapes.set('decoder.embed_tokens.weight', [model.vocabSize, model.inputDim]);
    if (model.inputDim !== model.embedDim) {
      shapes.set('decoder.project_in_dim.weight', [model.embedDim, model.inputDim]);
    }
  } else {
    const { widths } = model.adaptiveInput;
    bandSizes(model.adaptiveInput).forEach((size, i) => {
      shapes.set(`decoder.embed_tokens.embeddings.${i}.0.weight`, [size, widths[i]]);
      shapes.set(`decoder.embed_tokens.embeddings.${i}.1.weight`, [model.embedDim, widths[i]]);
    });
  }
  if (model.positions === 'learned') {
    shapes.set('decoder.embed_positions.weight', [model.maxPositions + model.padIndex + 1, model.embedDim]);
  }
  if (model.layerNormEmbedding) addWithBias(shapes, 'decoder.layernorm_embedding', model.embedDim);
}

function addLayer(shapes: TensorShapes, model: LmArchitecture, layer: string): void {
  for (const projection of ['k_proj', 'v_proj', 'q_proj', 'out_proj']) {
    addWithBias(shapes, `${layer}.self_attn.${projection}`, model.embedDim, model.embedDim);
  }
  addWithBias(shapes, `${layer}.self_attn_layer_norm`, model.embedDim);
  addWithBias(shapes, `${layer}.fc1`, model.ffnDim, model.embedDim);
  addWithBias(shapes, `${layer}.fc2`, model.embedDim, model.ffnDim);
  addWithBias(shapes, `${layer}.final_layer_norm`, model.embedDim);
}

function addAdaptiveSoftmax(shapes: TensorShapes, model: LmArchitecture, bands: AdaptiveBands): void {
  const { outputDim } = model;
  const sizes = bandSizes(bands);
  const tails = sizes.length - 1;
  const softmax = 'decoder.adaptive_softmax';
  if (model.tieAdaptiveWeights) {
    shapes.set(`${softmax}.head.word_proj.weight`, [sizes[0], outputDim]);
    shapes.set(`${softmax}.head.class_proj.weight`, [tails, outputDim]);
  } else {
    shapes.set(`${softmax}.head.weight`, [sizes[0] + tails, outputDim]);
  }
  for (let i = 0; i < tails; i++) {
    const width = bands.widths[i + 1];
    // A tied projection is stored as the input has it, [embedDim, width], and applied transposed.
    const tied = model.tieAdaptiveWeights && model.tieAdaptiveProj;
    shapes.set(`${softmax}.tail.${i}.0.weight`, tied ? [outputDim, width] : [width, outputDim]);
    shapes.set(`${softmax}.tail.${i}.2.weight`, [sizes[i + 1], width]);
  }
}

/**
 * The parameters that a model of this architecture has, by fairseq's name, with their shapes (torch's layouts: a linear
 * layer is `[out, in]`).
 *
 * @param model - the architecture
 * @returns shapes by name, in fairseq's order
 */
export function expectedTensors(model: LmArchitecture): TensorShapes {
  const shapes: TensorShapes = new Map();
  addEmbedding(shapes, model);
  for (let i = 0; i < model.layers; i++) addLayer(shapes, model, `decoder.layers.${i}`);
  if (model.finalNorm) addWithBias(shapes, 'decoder.layer_norm', model.embedDim);
  if (model.outputDim !== model.embedDim && !model.tieAdaptiveWeights) {
    shapes.set('decoder.project_out_dim.weight', [model.outputDim, model.embedDim]);
  }
  if (model.adaptiveSoftmax) addAdaptiveSoftmax(shapes, model, model.adaptiveSoftmax);
  else shapes.set('decoder.output_projection.weight', [model.vocabSize, model.outputDim]);
  return shapes;
}

/**
 * Which parameters are the same parameter under two names in a model of this architecture.
 *
 * @param model - the architecture
 * @returns name to the earlier name that it is tied to
 */
export function tiedTensors(model: LmArchitecture): Map<string, string> {
  const tied = new Map<string, string>();
  const softmax = 'decoder.adaptive_softmax';
  if (model.adaptiveSoftmax === undefined) {
    if (model.shareInputOutputEmbed)
      tied.set('decoder.output_projection.weight', 'decoder.embed_tokens.weight');
  } else if (model.tieAdaptiveWeights) {
    const bands = model.adaptiveSoftmax.cutoffs.length;
    tied.set(`${softmax}.head.word_proj.weight`, 'decoder.embed_tokens.embeddings.0.0.weight');
    for (let i = 1; i < bands; i++) {
      const band = `decoder.embed_tokens.embeddings.${i}`;
      tied.set(`${softmax}.tail.${i - 1}.2.weight`, `${band}.0.weight`);
      if (model.tieAdaptiveProj) tied.set(`${softmax}.tail.${i - 1}.0.weight`, `${band}.1.weight`);
    }
  }
  return tied;
}
