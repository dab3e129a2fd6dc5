import { dirname, resolve } from 'node:path';
import type { Device } from '../device.js';
import { LmRuntimeError } from '../errors.js';
import { softmaxBatchLimit, type ModelRequest, type PreparedModel } from '../prepared-model.js';
import type { RunContract } from '../run-contract.js';
import { softmaxBatchFor } from '../softmax-batch.js';
import { WorkerSession } from '../worker-session.js';
import { captureGraph } from './capture-graph.js';
import { checkBehaviour, type TrialRun } from './check-behaviour.js';
import { capturable, findScope } from './find-scope.js';
import { indexGraph, type GraphIndex } from './graph-index.js';
import { readModelConfig } from './model-config.js';
import { dictionaryPadIndex, ModelTokenIds } from './model-token-ids.js';
import { moduleScopes, type ModuleScope } from './module-scopes.js';
import { onnxContract } from './onnx-contract.js';
import { readOnnxFile } from './onnx-file.js';
import { onnxFingerprint } from './onnx-fingerprint.js';
import { constantShape, findOutputLayer, type OutputLayer } from './output-layer.js';

/** What the output layer reads: the last hidden states. It is no module, but every model has it. */
export const featuresModule = 'features';

/**
 * Prepares a causal language model that was exported to ONNX.
 *
 * @param path - the `.onnx` file
 * @param request - what is wanted
 * @param device - where a trial runs
 * @throws LmRuntimeError `ONNX_…`, `MODULE_…`, `MODEL_NOT_CAUSAL`, `OPTION_INVALID`, `MODEL_TOKEN_IDS`
 */
export async function prepareOnnxModel(
  path: string,
  request: ModelRequest,
  device: Device,
): Promise<PreparedModel> {
  checkOptions(path, request);
  const graph = indexGraph(await readOnnxFile(path));
  checkFile(graph);
  const outputLayer = findOutputLayer(graph);
  const module = findCaptured(graph, outputLayer, request.moduleToCapture ?? featuresModule);
  const config = await readModelConfig(path);
  const vocabSize = outputLayer.vocabSize ?? embeddingSize(graph) ?? config.vocabSize;
  if (vocabSize === undefined) throw unknownVocabulary(path);
  const tokenIds = request.modelTokenIds && new ModelTokenIds(request.modelTokenIds, vocabSize);
  const scores = request.purpose === 'score';
  const folder = resolve(dirname(path));
  const captured = captureGraph(graph, {
    captured: module.value,
    keysDtype: request.keysDtype,
    outputLayer: scores ? outputLayer : undefined,
  });
  const source = { name: path, bytes: captured.bytes, folder };
  const shape = { halfKeys: request.keysDtype === 'fp16', scores };
  const trial = onnxContract(captured.inputs, { ...shape, keyDimension: undefined });
  const { maxPositions } = config;
  if (tokenIds === undefined) {
    request.logger?.info(`${path}: the ids of the text are taken for the model's own; 1 is padding`);
  }
  const fingerprint = onnxFingerprint(graph.file, folder);
  const session = await WorkerSession.open({ graph: source, device, threads: request.threads });
  const keyDimension = await tryOut(session, trial, module.path, vocabSize);
  return {
    graph: source,
    session,
    contract: onnxContract(captured.inputs, { ...shape, keyDimension }),
    limits:
      tokenIds === undefined
        ? // A row may hold any id: padding needs no recognition, for nothing is asked for after it.
          { vocabSize, padIndex: -1, maxWidth: maxPositions }
        : { vocabSize: tokenIds.dictionarySize, padIndex: dictionaryPadIndex, maxWidth: maxPositions },
    tokenIds,
    softmaxBatch: Math.min(request.softmaxBatch ?? softmaxBatchFor(vocabSize), softmaxBatchLimit),
    description: {
      kind: 'onnx',
      vocabSize: tokenIds?.dictionarySize ?? vocabSize,
      ...{ padIndex: dictionaryPadIndex, keyDimension, maxPositions, addBosToken: false },
      ...sizesOf(graph, outputLayer),
      fingerprint,
      moduleToCapture: module.path,
      folder,
    },
  };
}

/**
 * What can be captured of an exported model: modules with one output, and `features`, the input of the output layer.
 *
 * @param path - the `.onnx` file
 */
export async function listOnnxModules(path: string): Promise<string[]> {
  const graph = indexGraph(await readOnnxFile(path));
  checkFile(graph);
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

function checkFile({ file }: GraphIndex): void {
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
function findCaptured(
  graph: GraphIndex,
  outputLayer: OutputLayer,
  path: string,
): { path: string; value: string } {
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

/** Width of the captured vectors; a session that fails the trial is closed. */
async function tryOut(
  session: WorkerSession,
  contract: RunContract,
  module: string,
  vocabSize: number,
): Promise<number> {
  try {
    const run: TrialRun = async (part) => contract.result(await session.run(contract.request(part, 1)));
    return await checkBehaviour(run, module, vocabSize);
  } catch (error) {
    await session.close();
    throw error;
  }
}
