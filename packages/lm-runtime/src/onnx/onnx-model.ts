import type { Device } from '../device.js';
import { OutputBuffers } from '../output-buffers.js';
import { softmaxBatchLimit, type ModelRequest, type PreparedModel } from '../prepared-model.js';
import type { RunContract } from '../run-contract.js';
import { softmaxBatchFor } from '../softmax-batch.js';
import { WorkerSession } from '../worker-session.js';
import { captureGraph } from './capture-graph.js';
import { checkBehaviour, type TrialRun } from './check-behaviour.js';
import { onnxContract } from './onnx-contract.js';
import { openOnnxSource } from './onnx-source.js';

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
  const source = await openOnnxSource(path, request);
  const { module, vocabSize, tokenIds, folder, description } = source;
  const scores = request.purpose === 'score';
  const captured = captureGraph(source.graph, {
    captured: module.value,
    keysDtype: request.keysDtype,
    outputLayer: scores ? source.outputLayer : undefined,
  });
  const graph = { name: path, bytes: captured.bytes, folder };
  const shape = { halfKeys: request.keysDtype === 'fp16', scores };
  const session = await WorkerSession.open({ graph, device, threads: request.threads });
  const trial = onnxContract(captured.inputs, { ...shape, keyDimension: undefined });
  const keyDimension = await tryOut(session, trial, module.path, vocabSize);
  return {
    ...{ graph, session, tokenIds },
    contract: onnxContract(captured.inputs, { ...shape, keyDimension }),
    limits: { ...source.limits, maxWidth: description.maxPositions },
    softmaxBatch: Math.min(request.softmaxBatch ?? softmaxBatchFor(vocabSize), softmaxBatchLimit),
    description: { ...description, keyDimension },
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
    const run: TrialRun = async (part) =>
      contract.result(await session.run(contract.request(part, 1, new OutputBuffers())));
    return await checkBehaviour(run, module, vocabSize);
  } catch (error) {
    await session.close();
    throw error;
  }
}
