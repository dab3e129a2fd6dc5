import type { RunRequest, RunResponse, TensorData, TensorMessage } from './messages.js';
import type { OutputBuffers } from './output-buffers.js';
import type { RunPart } from './run-parts.js';

/** What one run gives. */
export interface LmRunResult {
  /** Hidden states of the wanted positions, `[positions.length, keyDimension]`; fp16 as 16-bit patterns. */
  readonly keys: Uint16Array | Float32Array;
  /** Natural log-probability of each wanted position's target, `[positions.length]`; only for the purpose `score`. */
  readonly logProbs: Float32Array | undefined;
}

/** What a graph is fed for a part of a batch, and how its outputs are understood. */
export interface RunContract {
  /**
   * @param part - windows and wanted positions
   * @param softmaxBatch - rows of logits in memory at a time
   * @param buffers - where the memory for the hidden states comes from
   */
  request(part: RunPart, softmaxBatch: number, buffers: OutputBuffers): RunRequest;
  /** The outputs of a run. */
  result(response: RunResponse): LmRunResult;
}

/** A vector. */
export const vector = (data: TensorData): TensorMessage => ({ data, shape: [data.length] });

/** Arrays that receive the outputs `keys` and `log_probs`, which all graphs have. */
export function outputArrays(
  count: number,
  { keyDimension, halfKeys, scores }: { keyDimension: number; halfKeys: boolean; scores: boolean },
  buffers: OutputBuffers,
): Record<string, TensorMessage> {
  const length = count * keyDimension;
  const Elements = halfKeys ? Uint16Array : Float32Array;
  const buffer = buffers.take(length * Elements.BYTES_PER_ELEMENT);
  const keys = { data: new Elements(buffer, 0, length), shape: [count, keyDimension] };
  return scores ? { keys, log_probs: vector(new Float32Array(count)) } : { keys };
}

/** The outputs `keys` and `log_probs` of a run. */
export function readOutputs(response: RunResponse): LmRunResult {
  return {
    keys: response['keys'].data as Uint16Array | Float32Array,
    logProbs: response['log_probs']?.data as Float32Array | undefined,
  };
}

/**
 * The contract of the graphs that are built from fairseq checkpoints (README of `@knn-lm/checkpoint`).
 *
 * @param shape - width and precision of the keys; whether the graph scores
 */
export function fairseqContract(shape: {
  keyDimension: number;
  halfKeys: boolean;
  scores: boolean;
}): RunContract {
  return {
    request({ rows, width, tokens, positions, targets }, softmaxBatch, buffers) {
      const feeds: Record<string, TensorMessage> = {
        tokens: { data: tokens, shape: [rows, width] },
        rows: vector(positions),
      };
      if (shape.scores) {
        feeds['targets'] = vector(targets);
        feeds['softmax_batch'] = { data: BigInt64Array.of(BigInt(softmaxBatch)), shape: [] };
      }
      return { feeds, fetches: outputArrays(positions.length, shape, buffers) };
    },
    result: readOutputs,
  };
}
