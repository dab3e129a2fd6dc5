import type { Device } from '../device.js';
import { LmRuntimeError } from '../errors.js';
import type { TensorMessage } from '../messages.js';
import { OutputBuffers } from '../output-buffers.js';
import type { ModelRequest } from '../prepared-model.js';
import type { PreparedSteps } from '../prepared-steps.js';
import { vector } from '../run-contract.js';
import type { StepContract, StepResult } from '../step-contract.js';
import { WorkerSession } from '../worker-session.js';
import { findCache } from './cache-slots.js';
import { addedNames, captureGraph } from './capture-graph.js';
import { areNear, checkBehaviour } from './check-behaviour.js';
import { feederOf, onnxContract } from './onnx-contract.js';
import type { FileValue } from './onnx-file.js';
import { openOnnxSource } from './onnx-source.js';

/** Where a model runs. */
interface Place {
  readonly device: Device;
  readonly threads: number;
}

/**
 * Prepares an exported model for generation. Where it takes and gives keys and values, and a trial shows that a text read
 * in two steps has the distribution that it has in one, these are kept; otherwise every step reads the whole context.
 *
 * @param path - the `.onnx` file
 * @param request - what is wanted
 * @param device - where it runs
 * @throws LmRuntimeError as `prepareOnnxModel` does
 */
export async function prepareOnnxSteps(
  path: string,
  request: ModelRequest,
  device: Device,
): Promise<PreparedSteps> {
  const place = { device, threads: request.threads };
  try {
    return await prepareWith(path, request, place, true);
  } catch (error) {
    if (!(error instanceof LmRuntimeError) || !failuresOfCache.has(error.code)) throw error;
    const steps = await prepareWith(path, request, place, false);
    request.logger?.warn(
      `${path}: its keys and values cannot be used (${error.message}); every step reads the whole context`,
    );
    return steps;
  }
}

/** What a model may show in a trial with its keys and values and not without. */
const failuresOfCache = new Set([
  'ONNX_INPUT',
  'MODULE_SHAPE',
  'MODEL_NOT_CAUSAL',
  'RUN_FAILED',
  'SESSION_FAILED',
]);

async function prepareWith(
  path: string,
  request: ModelRequest,
  place: Place,
  usesPast: boolean,
): Promise<PreparedSteps> {
  const source = await openOnnxSource(path, request, usesPast);
  const { graph: index, outputLayer, module, folder, vocabSize } = source;
  const found = usesPast ? findCache(index.file) : undefined;
  const captured = captureGraph(index, {
    ...{ captured: module.value, keysDtype: 'fp32', outputLayer, allTokens: true },
    outputs: found?.outputs,
  });
  const graph = { name: path, bytes: captured.bytes, folder };
  const cache = found?.layout;
  const cached = new Set(cache?.slots.map(({ input }) => input));
  const contract = stepContract(captured.inputs.filter(({ name }) => !cached.has(name)));
  const session = await WorkerSession.open({ graph, cache, ...place });
  try {
    const trial = onnxContract(captured.inputs, { halfKeys: false, scores: false, keyDimension: undefined });
    const keyDimension = await checkBehaviour(
      async (part) => trial.result(await session.run(trial.request(part, 1, new OutputBuffers()))),
      module.path,
      vocabSize,
    );
    if (cache !== undefined) await checkCache(session, contract, vocabSize);
    return {
      ...{ graph, session, cache, contract, limits: source.limits, tokenIds: source.tokenIds },
      longestContext: source.description.maxPositions,
      description: { ...source.description, keyDimension },
    };
  } catch (error) {
    await session.close();
    throw error;
  }
}

function stepContract(inputs: readonly FileValue[]): StepContract {
  const feeders = inputs.map((input) => [input.name, feederOf(input)] as const);
  return {
    request(tokens, length) {
      const width = tokens.length;
      const feeds: Record<string, TensorMessage> = { [addedNames.rows]: vector(Int32Array.of(width - 1)) };
      for (const [name, feeder] of feeders)
        feeds[name] = feeder({ rows: 1, width, tokens: tokens.slice(), start: length });
      return { feeds, fetches: { [addedNames.keys]: undefined, [addedNames.logProbs]: undefined } };
    },
    result: (response) => ({
      hidden: response[addedNames.keys].data as Float32Array,
      logProbs: response[addedNames.logProbs].data as Float32Array,
    }),
  };
}

/** Reads a few tokens at once and in two steps. */
async function checkCache(session: WorkerSession, contract: StepContract, vocabSize: number): Promise<void> {
  const row = -1;
  const read = async (tokens: Int32Array<ArrayBuffer>, length: number): Promise<StepResult> => {
    const request = contract.request(tokens, length);
    return contract.result(await session.run({ ...request, cache: { row, length } }));
  };
  const tokens = Int32Array.from({ length: 4 }, (_, i) => (3 + 11 * i) % vocabSize);
  const whole = await read(tokens.slice(), 0);
  await read(tokens.slice(0, 3), 0);
  const stepwise = await read(tokens.slice(3), 3);
  session.forget(row);
  if (areNear(stepwise.hidden, whole.hidden) && areNear(stepwise.logProbs, whole.logProbs)) return;
  throw new LmRuntimeError('MODULE_SHAPE', 'a text read in two steps has another distribution than in one');
}
