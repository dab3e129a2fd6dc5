import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describeFileError } from '@knn-lm/common';
import type { AdaptiveBands, LmArchitecture } from '../architecture.js';
import { asCheckpointError } from '../container/open-container.js';
import { elementCount } from '../container/stored-tensor.js';
import { CheckpointError } from '../errors.js';
import { expectedTensors } from '../tensor-names.js';
import type { ModelFolder, ModelSource, WeightEntry } from '../weights.js';
import type { FolderConfig } from './folder-config.js';
import { JsonReader } from './json-reader.js';
import { folderLayout } from './layout.js';

/** A `config.json` with 16 layers has 60 KB. */
const MAX_CONFIG_BYTES = 16 * 2 ** 20;

/**
 * Opens a model folder: reads its `config.json` and checks it against itself and against the size of the weights file.
 *
 * @param folder - the folder
 * @returns the model
 * @throws {@link CheckpointError} `MODEL_FOLDER_…`, `FILE_…`
 */
export function openModelFolder(folder: string): ModelFolder {
  const path = join(folder, folderLayout.configFile);
  const config = readConfig(path);
  const weights = new Map(Object.entries(config.weights.tensors));
  checkWeights(path, config, weights);
  checkWeightsFile(folder, config);
  const { architecture, fingerprint, parameters, source } = config;
  return { folder, architecture, weightsFile: config.weights.file, weights, fingerprint, parameters, source };
}

function readConfig(path: string): FolderConfig {
  let value: unknown;
  try {
    if (statSync(path).size > MAX_CONFIG_BYTES) throw new SyntaxError('it is too long');
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) {
      throw asCheckpointError(describeFileError(cause, path, 'open the model folder'));
    }
    throw new CheckpointError('MODEL_FOLDER_CONFIG', `${path}: not JSON: ${cause.message}`, {
      hint: 'Delete the folder; the checkpoint is converted again.',
      details: { path },
      cause,
    });
  }
  return parseConfig(new JsonReader(path, '', value));
}

function parseConfig(config: JsonReader): FolderConfig {
  const format = config.get('format').text();
  const version = config.get('version').count();
  if (format !== folderLayout.format || version !== folderLayout.version) {
    throw new CheckpointError(
      'MODEL_FOLDER_VERSION',
      `${config.path}: is '${format}' version ${version}; '${folderLayout.format}' version ${folderLayout.version} is expected`,
      {
        hint: 'Give the checkpoint itself; it is converted again.',
        details: { path: config.path, format, version },
      },
    );
  }
  const weights = config.get('weights');
  return {
    format,
    version,
    architecture: parseArchitecture(config.get('architecture')),
    fingerprint: config.get('fingerprint').hex(),
    parameters: config.get('parameters').count(),
    source: parseSource(config.get('source')),
    weights: {
      file: weights.get('file').oneOf([folderLayout.weightsFile]),
      byteLength: weights.get('byteLength').count(),
      tensors: Object.fromEntries(
        weights
          .get('tensors')
          .entries()
          .map(([name, entry]) => [name, parseEntry(entry)]),
      ),
    },
  };
}

function parseEntry(entry: JsonReader): WeightEntry {
  return {
    shape: entry
      .get('shape')
      .items()
      .map((length) => length.count()),
    byteOffset: entry.get('byteOffset').count(),
    byteLength: entry.get('byteLength').count(),
    sha256: entry.get('sha256').hex(),
  };
}

function parseSource(source: JsonReader): ModelSource {
  return {
    name: source.get('name').text(),
    byteLength: source.get('byteLength').count(),
    modifiedMs: source.get('modifiedMs').number(),
    sha256: source.get('sha256').hex(),
    modelOverrides: Object.fromEntries(
      source
        .get('modelOverrides')
        .entries()
        .map(([name, { value }]) => [name, value]),
    ),
  };
}

function parseBands(bands: JsonReader): AdaptiveBands | undefined {
  if (bands.value === undefined) return undefined;
  const counts = (name: string): number[] =>
    bands
      .get(name)
      .items()
      .map((item) => item.count());
  return { cutoffs: counts('cutoffs'), factor: bands.get('factor').number(), widths: counts('widths') };
}

function parseArchitecture(model: JsonReader): LmArchitecture {
  return {
    name: model.get('name').text(),
    vocabSize: model.get('vocabSize').count(),
    layers: model.get('layers').count(),
    embedDim: model.get('embedDim').count(),
    inputDim: model.get('inputDim').count(),
    outputDim: model.get('outputDim').count(),
    ffnDim: model.get('ffnDim').count(),
    heads: model.get('heads').count(),
    normalizeBefore: model.get('normalizeBefore').flag(),
    finalNorm: model.get('finalNorm').flag(),
    layerNormEmbedding: model.get('layerNormEmbedding').flag(),
    activation: model
      .get('activation')
      .oneOf(['relu', 'relu_squared', 'gelu', 'gelu_accurate', 'tanh', 'linear', 'swish']),
    embedScale: model.get('embedScale').number(),
    positions: model.get('positions').oneOf(['sinusoidal', 'learned', 'none']),
    maxPositions: model.get('maxPositions').count(),
    padIndex: model.get('padIndex').count(),
    adaptiveInput: parseBands(model.get('adaptiveInput')),
    adaptiveSoftmax: parseBands(model.get('adaptiveSoftmax')),
    tieAdaptiveWeights: model.get('tieAdaptiveWeights').flag(),
    tieAdaptiveProj: model.get('tieAdaptiveProj').flag(),
    shareInputOutputEmbed: model.get('shareInputOutputEmbed').flag(),
    addBosToken: model.get('addBosToken').flag(),
    tokensPerSample: model.get('tokensPerSample').count(),
  };
}

function checkWeights(path: string, config: FolderConfig, weights: ReadonlyMap<string, WeightEntry>): void {
  const fail = (problem: string): CheckpointError =>
    new CheckpointError('MODEL_FOLDER_CONFIG', `${path}: ${problem}`, {
      hint: 'Delete the folder; the checkpoint is converted again.',
      details: { path },
    });
  for (const [name, { shape, byteOffset, byteLength }] of weights) {
    if (byteLength !== 4 * elementCount(shape) || byteOffset % folderLayout.alignment !== 0) {
      throw fail(`${name}: ${byteLength} bytes at ${byteOffset} do not fit its shape [${shape.join(', ')}]`);
    }
    if (byteOffset + byteLength > config.weights.byteLength) {
      throw fail(`${name} ends after the weights file's ${config.weights.byteLength} bytes`);
    }
  }
  if (config.architecture.layers > weights.size) throw fail(`${config.architecture.layers} layers`);
  for (const [name, shape] of expectedTensors(config.architecture)) {
    const found = weights.get(name)?.shape;
    if (found?.join() !== shape.join()) {
      throw fail(`${name} has shape [${found?.join(', ') ?? 'none'}], but [${shape.join(', ')}] is expected`);
    }
  }
}

function checkWeightsFile(folder: string, config: FolderConfig): void {
  const path = join(folder, config.weights.file);
  let size: number;
  try {
    ({ size } = statSync(path));
  } catch (cause) {
    throw asCheckpointError(describeFileError(cause, path, 'open the model folder'));
  }
  if (size === config.weights.byteLength) return;
  throw new CheckpointError(
    'MODEL_FOLDER_WEIGHTS',
    `${path}: has ${size} bytes, but config.json says ${config.weights.byteLength}`,
    {
      hint: 'Delete the folder; the checkpoint is converted again.',
      details: { path, size, expected: config.weights.byteLength },
    },
  );
}
