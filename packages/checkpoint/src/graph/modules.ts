import type { LmArchitecture } from '../architecture.js';
import { CheckpointError } from '../errors.js';

/** A module whose output can be captured. */
export interface CapturableModule {
  /** Normalised path: `layers[3].final_layer_norm`, indices from the front. */
  readonly path: string;
  /** Index of the layer that holds it; -1 before the layers, the number of layers after them. */
  readonly layer: number;
  /** Width of its output. */
  readonly dimension: number;
}

/** The module whose output kNN-LM uses as key: the input of the last feed-forward layer (Khandelwal et al., 2020). */
export const defaultModule = 'layers[-1].final_layer_norm';

/**
 * The modules of a model whose output can be captured, in the order in which they run.
 *
 * @param architecture - the model
 */
export function capturableModules(architecture: LmArchitecture): readonly CapturableModule[] {
  const { layers, embedDim, ffnDim } = architecture;
  const modules = embeddingModules(architecture);
  for (let layer = 0; layer < layers; layer++) {
    const add = (child: string, dimension: number): void => {
      modules.push({ path: `layers[${layer}]${child}`, layer, dimension });
    };
    const norm = '.self_attn_layer_norm';
    const attention = ['.self_attn'];
    for (const child of architecture.normalizeBefore ? [norm, ...attention] : [...attention, norm]) {
      add(child, embedDim);
    }
    if (architecture.normalizeBefore) add('.final_layer_norm', embedDim);
    add('.fc1', ffnDim);
    add('.fc2', embedDim);
    if (!architecture.normalizeBefore) add('.final_layer_norm', embedDim);
    add('', embedDim);
  }
  if (architecture.finalNorm) modules.push({ path: 'layer_norm', layer: layers, dimension: embedDim });
  if (projectsOut(architecture)) {
    modules.push({ path: 'project_out_dim', layer: layers, dimension: architecture.outputDim });
  }
  return modules;
}

function embeddingModules(architecture: LmArchitecture): CapturableModule[] {
  const { embedDim, inputDim, adaptiveInput } = architecture;
  const modules = [{ path: 'embed_tokens', layer: -1, dimension: adaptiveInput ? embedDim : inputDim }];
  if (projectsIn(architecture)) {
    modules.push({ path: 'project_in_dim', layer: -1, dimension: embedDim });
  }
  if (architecture.positions !== 'none') {
    modules.push({ path: 'embed_positions', layer: -1, dimension: embedDim });
  }
  if (architecture.layerNormEmbedding) {
    modules.push({ path: 'layernorm_embedding', layer: -1, dimension: embedDim });
  }
  return modules;
}

/** Whether `project_in_dim` stands between a plain embedding and the layers. */
export function projectsIn({ inputDim, embedDim, adaptiveInput }: LmArchitecture): boolean {
  return adaptiveInput === undefined && inputDim !== embedDim;
}

/** Whether `project_out_dim` stands before the output layer (fairseq has none where the adaptive weights are tied). */
export function projectsOut({ outputDim, embedDim, tieAdaptiveWeights }: LmArchitecture): boolean {
  return outputDim !== embedDim && !tieAdaptiveWeights;
}

/**
 * Paths of the modules whose output can be captured, indices from the front.
 *
 * @param architecture - the model
 * @example
 * ```ts
 * listModules(architecture); // ['embed_tokens', 'embed_positions', 'layers[0].self_attn_layer_norm', ...]
 * ```
 */
export function listModules(architecture: LmArchitecture): string[] {
  return capturableModules(architecture).map((module) => module.path);
}

/**
 * Finds the module that a path names. Indices count from the front, or from the back when negative: `layers[-1]` is
 * the last layer. `layers.3.fc1`, the spelling of torch, works too, and so does a leading `decoder.`.
 *
 * @param architecture - the model
 * @param path - such as `layers[-1].final_layer_norm`
 * @throws {@link CheckpointError} `MODULE_UNKNOWN`; it names the nearest known module and lists the kinds
 */
export function findModule(architecture: LmArchitecture, path: string): CapturableModule {
  const modules = capturableModules(architecture);
  const { layers } = architecture;
  const wanted = normalise(path, layers);
  const found = modules.find((module) => module.path === wanted);
  if (found !== undefined) return found;
  throw new CheckpointError('MODULE_UNKNOWN', `no module ${path} in this model${reason(path, layers)}`, {
    hint: `Did you mean ${nearest(wanted, modules)}? Known: ${kinds(modules, layers).join(', ')}.`,
    details: { module: path, layers },
  });
}

function normalise(path: string, layers: number): string {
  return path
    .trim()
    .replace(/^(?:self\.|model\.|models\[0\]\.)*decoder\./, '')
    .replace(/\.(-?\d+)(?=\.|$)/g, '[$1]')
    .replace(
      /\[\s*(-?\d+)\s*\]/g,
      (_, index: string) => `[${Number(index) < 0 ? Number(index) + layers : Number(index)}]`,
    );
}

function reason(path: string, layers: number): string {
  const index = /^(?:.*\.)?layers[[.](-?\d+)/.exec(path.trim())?.[1];
  if (index === undefined || (Number(index) < layers && Number(index) >= -layers)) return '';
  return `: it has ${layers} layers, 0 to ${layers - 1} or -${layers} to -1`;
}

/** The list of modules with one entry for all layers. */
function kinds(modules: readonly CapturableModule[], layers: number): string[] {
  const last = layers - 1;
  return modules
    .filter((module) => module.layer < 0 || module.layer >= last)
    .map((module) => module.path.replace(`layers[${last}]`, `layers[0..${last}]`));
}

function nearest(wanted: string, modules: readonly CapturableModule[]): string {
  const distances = modules.map((module) => editDistance(wanted, module.path));
  // Of equally near ones the last: a wrong index more often means the end of the model than its beginning.
  return modules[distances.lastIndexOf(Math.min(...distances))].path;
}

/** Levenshtein's distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = previous[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[j] + 1, current[j - 1] + 1));
    }
    previous = current;
  }
  return previous[b.length];
}
