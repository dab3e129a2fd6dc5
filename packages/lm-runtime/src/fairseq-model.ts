import { createHash } from 'node:crypto';
import { join, resolve } from 'node:path';
import {
  defaultModule,
  ensureInt8Folder,
  findModule,
  graphBytes,
  openModelFolder,
  resolveModelFolder,
  type CapturableModule,
  type GraphPurpose,
  type LmArchitecture,
  type ModelFolder,
  type Precision,
} from '@knn-lm/checkpoint';
import { LmRuntimeError } from './errors.js';
import type { GraphSource } from './messages.js';
import { softmaxBatchLimit, type ModelRequest, type PreparedModel } from './prepared-model.js';
import type { PreparedSteps } from './prepared-steps.js';
import { fairseqContract } from './run-contract.js';
import { defaultSoftmaxBatch } from './softmax-batch.js';
import { fairseqCache, fairseqStepContract } from './step-contract.js';

/**
 * Prepares a fairseq model: converts the checkpoint where that has not been done, and builds the graph.
 *
 * @param path - checkpoint or model folder
 * @param request - what is wanted
 * @throws CheckpointError when the checkpoint cannot be read or has no such module
 */
export async function prepareFairseqModel(path: string, request: ModelRequest): Promise<PreparedModel> {
  const { purpose, keysDtype } = request;
  const { folder, module, description } = await openFolder(path, request);
  const { architecture } = folder;
  const { vocabSize, padIndex } = architecture;
  return {
    graph: graphSource(folder, module, request, { purpose }),
    paddedGraph: () => graphSource(folder, module, request, { purpose, paddingInside: true }),
    contract: fairseqContract({
      keyDimension: module.dimension,
      halfKeys: keysDtype === 'fp16',
      scores: purpose === 'score',
    }),
    limits: { vocabSize, padIndex, maxWidth: longestWindow(architecture) },
    softmaxBatch: Math.min(request.softmaxBatch ?? defaultSoftmaxBatch(architecture), softmaxBatchLimit),
    description,
  };
}

/** Prepares a fairseq model for generation; see {@link prepareFairseqModel}. */
export async function prepareFairseqSteps(path: string, request: ModelRequest): Promise<PreparedSteps> {
  const { folder, module, description } = await openFolder(path, request);
  const { vocabSize, padIndex } = folder.architecture;
  return {
    graph: graphSource(folder, module, request, { purpose: 'step' }),
    cache: fairseqCache(folder.architecture),
    contract: fairseqStepContract,
    limits: { vocabSize, padIndex },
    longestContext: longestWindow(folder.architecture),
    description,
  };
}

async function openFolder(path: string, request: ModelRequest) {
  if (request.modelTokenIds !== undefined) throw hasOwnDictionary(path);
  const converted = openModelFolder(await resolveModelFolder(path, request));
  const module = findModule(converted.architecture, request.moduleToCapture ?? defaultModule);
  const folder = request.precision === 'int8' ? await ensureInt8Folder(converted, request) : converted;
  const description = {
    kind: 'fairseq' as const,
    ...{ keyDimension: module.dimension, moduleToCapture: module.path },
    ...describe(folder, request.precision),
  };
  return { folder, module, description };
}

function graphSource(
  folder: ModelFolder,
  module: CapturableModule,
  { keysDtype, precision }: ModelRequest,
  graph: { purpose: GraphPurpose; paddingInside?: boolean },
): GraphSource {
  return {
    name: join(folder.folder, `${graph.purpose}.onnx`),
    bytes: graphBytes(folder, { ...graph, module: module.path, keysDtype, precision }),
    folder: resolve(folder.folder),
  };
}

function hasOwnDictionary(path: string): LmRuntimeError {
  return new LmRuntimeError(
    'OPTION_INVALID',
    `the text was binarized with the tokenizer of another model; ${path} has fairseq's ids`,
    {
      hint: 'Binarize the text with the dict.txt of this model (fairseq-preprocess --srcdict DICT).',
      details: { path },
    },
  );
}

function describe(folder: ModelFolder, precision: Precision) {
  const { vocabSize, padIndex, maxPositions, embedDim, layers, addBosToken } = folder.architecture;
  const { parameters } = folder;
  return {
    ...{ vocabSize, padIndex, maxPositions, embedDim, layers, addBosToken },
    ...{ fingerprint: fingerprintOf(folder, precision), parameters, folder: folder.folder },
  };
}

/** Keys of one precision are not the queries of the other: their models count as different. */
function fingerprintOf({ fingerprint }: ModelFolder, precision: Precision): string {
  if (precision === 'fp32') return fingerprint;
  return createHash('sha256').update(`${fingerprint} ${precision}`).digest('hex');
}

/** Only a learned table ends; sines and cosines go on, and so does a model without positions. */
function longestWindow({ positions, maxPositions }: LmArchitecture): number {
  return positions === 'learned' ? maxPositions : Infinity;
}
