import { dirname, resolve } from 'node:path';
import { LmRuntimeError } from '../errors.js';
import type { ModelRequest, PreparedModel } from '../prepared-model.js';
import { capturable, findScope } from './find-scope.js';
import { indexGraph, type GraphIndex } from './graph-index.js';
import { inlineCacheBranch } from './inline-cache-branch.js';
import { readModelConfig } from './model-config.js';
import { dictionaryPadIndex, ModelTokenIds } from './model-token-ids.js';
import { moduleScopes, type ModuleScope } from './module-scopes.js';
import { readOnnxFile, type OnnxFile } from './onnx-file.js';
import { onnxFingerprint } from './onnx-fingerprint.js';
import { constantShape, findOutputLayer, type OutputLayer } from './output-layer.js';

/** What the output layer reads: the last hidden states. It is no module, but every model has it. */
export const featuresModule = 'features';

/** A module whose output is captured. */
export interface CapturedValue {
  /** Its path. */
  readonly path: string;
  /** The value of the graph that leaves it. */
  readonly value: string;
}

/** What was found in an exported model. */
export interface OnnxSource {
  /** Its graph. */
  readonly graph: GraphIndex;
  /** The operations that give the logits. */
  readonly outputLayer: OutputLayer;
  /** What is captured. */
  readonly module: CapturedValue;
  /** Folder of its external data. */
  readonly folder: string;
  /** Number of tokens that it gives a logit each. */
  readonly vocabSize: number;
  /** Turns ids of the dictionary into those of the model, where these differ. */
  readonly tokenIds: ModelTokenIds | undefined;
  /** What texts are checked against. */
  readonly limits: { readonly vocabSize: number; readonly padIndex: number };
  /** What is known about it, but for the width of what is captured. */
  readonly description: Omit<PreparedModel['description'], 'keyDimension'>;
}

/**
 * Reads an exported model and finds its parts.
 *
 * @param path - the `.onnx` file
 * @param request - what is wanted
 * @param usesPast - of a model that has a branch for each, take the one that continues keys and values
 * @throws LmRuntimeError `ONNX_…`, `MODULE_…`, `OPTION_INVALID`, `MODEL_TOKEN_IDS`
 */
export async function openOnnxSource(
  path: string,
  request: ModelRequest,
  usesPast = false,
): Promise<OnnxSource> {
  checkOptions(path, request);
  const graph = indexGraph(inlineCacheBranch(await readOnnxFile(path), usesPast));
  checkFile(graph.file);
  const outputLayer = findOutputLayer(graph);
  const module = findCaptured(graph, outputLayer, request.moduleToCapture ?? featuresModule);
  const config = await readModelConfig(path);
  const vocabSize = outputLayer.vocabSize ?? embeddingSize(graph) ?? config.vocabSize;
  if (vocabSize === undefined) throw unknownVocabulary(path);
  const tokenIds = request.modelTokenIds && new ModelTokenIds(request.modelTokenIds, vocabSize);
  if (tokenIds === undefined) {
    request.logger?.info(`${path}: the ids of the text are taken for the model's own; 1 is padding`);
  }
  const folder = resolve(dirname(path));
  // Without a dictionary a row may hold any id: padding needs no recognition, for nothing is asked for after it.
  const limits = {
    vocabSize: tokenIds?.dictionarySize ?? vocabSize,
    padIndex: tokenIds === undefined ? -1 : dictionaryPadIndex,
  };
  return {
    ...{ graph, outputLayer, module, folder, vocabSize, tokenIds, limits },
    description: {
      ...{ kind: 'onnx', vocabSize: limits.vocabSize, padIndex: dictionaryPadIndex, addBosToken: false },
      ...{ maxPositions: config.maxPositions, moduleToCapture: module.path, folder },
      ...sizesOf(graph, outputLayer),
      fingerprint: onnxFingerprint(graph.file, folder),
    },
  };
}

/**
 * What can be captured of an exported model: modules with one output, and `features`, the input of the output layer.
 *
 * @param path - the `.onnx` file
 */
export async function listOnnxModules(path: string): Promise<string[]> {
  const graph = indexGraph(inlineCacheBranch(await readOnnxFile(path), false));
  checkFile(graph.file);
  findOutputLayer(graph);
  return [...capturable(moduleScopes(graph)).map((scope) => scope.path), featuresModule];
}

function checkOptions(path: string, { precision, modelOverrides }: ModelRequest): void {
  if (precision === 'int8') {
    throw new LmRuntimeError(
      'OPTION_INVALID',
      `precision int8 is for fairseq checkpoints; ${path} is computed as it is`,
      {
        hint: "Give an .onnx file that was quantized with its exporter's tools, and leave --precision out.",
        details: { path },
      },
    );
  }
  if (Object.keys(modelOverrides ?? {}).length > 0) {
    throw new LmRuntimeError(
      'OPTION_INVALID',
      `model overrides are for fairseq checkpoints; ${path} is none`,
      {
        hint: 'Leave --model-overrides out.',
        details: { path },
      },
    );
  }
}

/** ONNX has had `GatherElements` and the present form of `Loop` since operator set 11. */
const oldestOpset = 11;

function checkFile(file: OnnxFile): void {
  if (file.opset < oldestOpset) {
    throw new LmRuntimeError(
      'ONNX_OPSET',
      `${file.path}: uses operator set ${file.opset}; ${oldestOpset} or later is needed`,
      {
        hint: 'Export the model again (opset_version=17).',
        details: { path: file.path, opset: file.opset },
      },
    );
  }
  if (file.inputs.some((input) => input.name === 'input_ids')) return;
  throw new LmRuntimeError(
    'ONNX_INPUT',
    `${file.path}: has no input input_ids, but ${file.inputs.map((input) => input.name).join(', ') || 'none'}`,
    {
      hint: 'Export a causal language model (optimum-cli export onnx --task text-generation).',
      details: { path: file.path },
    },
  );
}

/** A module, `features`, or a tensor by its own name. */
function findCaptured(graph: GraphIndex, outputLayer: OutputLayer, path: string): CapturedValue {
  if (path === featuresModule) return { path, value: outputLayer.features };
  if (graph.hidden.has(path)) return { path, value: path };
  const scope: ModuleScope = findScope(moduleScopes(graph), path);
  return { path: scope.path, value: scope.outputs[0] };
}

function embeddingSize(graph: GraphIndex): number | undefined {
  const lookup = graph.readers.get('input_ids')?.find(({ operator }) => operator === 'Gather');
  return lookup === undefined ? undefined : constantShape(graph, lookup.inputs[0])?.[0];
}

function unknownVocabulary(path: string): LmRuntimeError {
  return new LmRuntimeError(
    'ONNX_VOCABULARY',
    `${path}: the size of its vocabulary is in no shape of the file`,
    {
      hint: 'Put the config.json of the model (with vocab_size) beside the file.',
      details: { path },
    },
  );
}

function sizesOf(graph: GraphIndex, outputLayer: OutputLayer) {
  const { initializers } = graph.file;
  const count = (shape: readonly number[]): number => shape.reduce((product, length) => product * length, 1);
  const indices = moduleScopes(graph).flatMap(({ segments }) => segments.slice(1).map(Number));
  const product = outputLayer.nodes.at(0);
  const weight = product === undefined ? undefined : constantShape(graph, product.inputs[1]);
  return {
    embedDim: weight?.find((length) => length !== outputLayer.vocabSize) ?? 0,
    layers: Math.max(-1, ...indices.filter(Number.isInteger)) + 1,
    parameters: Math.max(
      1,
      initializers.reduce((sum, tensor) => sum + count(tensor.shape), 0),
    ),
  };
}
