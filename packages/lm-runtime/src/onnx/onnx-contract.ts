import { LmRuntimeError } from '../errors.js';
import type { TensorMessage } from '../messages.js';
import type { OutputBuffers } from '../output-buffers.js';
import { outputArrays, vector, type RunContract } from '../run-contract.js';
import type { RunPart } from '../run-parts.js';
import { addedNames } from './capture-graph.js';
import type { FileValue } from './onnx-file.js';

/** `onnx.TensorProto.DataType`. */
const types = { float32: 1, int32: 6, int64: 7, float16: 10 };

/** Width and precision of the keys, and whether the graph scores. The width is not known before the first run. */
export interface OnnxShape {
  /** Width of the hidden states; `undefined` before it is known. */
  readonly keyDimension: number | undefined;
  /** Hidden states in half precision. */
  readonly halfKeys: boolean;
  /** The graph gives log-probabilities too. */
  readonly scores: boolean;
}

/**
 * How a model with the inputs of a Hugging Face export is fed: `input_ids`, `attention_mask` (all ones: a row's padding
 * comes after everything that is asked for, and attention is causal), `position_ids`, `token_type_ids` (zeros), and
 * `past_key_values` (empty).
 *
 * @param inputs - the model's inputs
 * @param shape - what is fetched
 * @throws LmRuntimeError `ONNX_INPUT` for an input that is none of these
 */
export function onnxContract(inputs: readonly FileValue[], shape: OnnxShape): RunContract {
  const feeders = inputs.map((input) => [input.name, feederOf(input)] as const);
  return {
    request(part, softmaxBatch, buffers) {
      const feeds: Record<string, TensorMessage> = { [addedNames.rows]: vector(part.positions) };
      for (const [name, feeder] of feeders) feeds[name] = feeder(part);
      if (shape.scores) {
        feeds[addedNames.targets] = vector(part.targets);
        feeds[addedNames.softmaxBatch] = { data: BigInt64Array.of(BigInt(softmaxBatch)), shape: [] };
      }
      return { feeds, fetches: fetchesOf(part.positions.length, shape, buffers) };
    },
    result: (response) => ({
      keys: response[addedNames.keys].data as Uint16Array | Float32Array,
      logProbs: response[addedNames.logProbs]?.data as Float32Array | undefined,
    }),
  };
}

function fetchesOf(count: number, { keyDimension, halfKeys, scores }: OnnxShape, buffers: OutputBuffers) {
  const known =
    keyDimension === undefined ? undefined : outputArrays(count, { keyDimension, halfKeys, scores }, buffers);
  return {
    [addedNames.keys]: known?.['keys'],
    ...(scores ? { [addedNames.logProbs]: known?.['log_probs'] } : {}),
  };
}

/** Gives the content of one of the model's own inputs. `start` is the column of the first token (0 without a past). */
export type Feeder = (part: FedTokens) => TensorMessage;

/** Tokens that a model is fed. */
export interface FedTokens extends Pick<RunPart, 'rows' | 'width' | 'tokens'> {
  /**
   * Tokens of each row before these.
   * @default 0
   */
  readonly start?: number;
}

/**
 * What an input of the model is fed.
 *
 * @throws LmRuntimeError `ONNX_INPUT` when it is none that is known
 */
export function feederOf(input: FileValue): Feeder {
  const perToken = (values: (part: FedTokens) => ArrayLike<number>): Feeder => {
    return (part) => ({ data: numbers(input, values(part)), shape: [part.rows, part.width] });
  };
  switch (input.name) {
    case 'input_ids':
      return perToken(({ tokens }) => tokens);
    case 'attention_mask':
      return ({ rows, width, start = 0 }) => {
        const shape = [rows, start + width];
        return { data: numbers(input, new Int32Array(rows * (start + width)).fill(1)), shape };
      };
    case 'token_type_ids':
      return perToken(({ tokens }) => new Int32Array(tokens.length));
    case 'position_ids':
      return perToken(({ tokens, width, start = 0 }) => tokens.map((_, i) => start + (i % width)));
    default:
      if (/^past/.test(input.name)) return ({ rows }) => emptyPast(input, rows);
      throw unknownInput(input, 'is none that a causal language model is known to have');
  }
}

function numbers(input: FileValue, values: ArrayLike<number>): TensorMessage['data'] {
  if (input.type === types.int64) return BigInt64Array.from(values as Int32Array, BigInt);
  if (input.type === types.int32) return Int32Array.from(values);
  if (input.type === types.float32) return Float32Array.from(values);
  throw unknownInput(input, `has elements of type ${input.type} (onnx.TensorProto.DataType)`);
}

/**
 * No keys and values: the batch first, and no steps along the other free axes.
 *
 * @throws LmRuntimeError `ONNX_INPUT` when it has a fixed shape, or elements that are no floats
 */
export function emptyPast(input: FileValue, rows: number): TensorMessage {
  const shape = input.shape.map((length, axis) =>
    axis === 0 ? rows : typeof length === 'number' ? length : 0,
  );
  const count = shape.reduce((product, length) => product * length, 1);
  if (count !== 0) throw unknownInput(input, `has the fixed shape [${input.shape.join(', ')}]`);
  if (input.type === types.float16) return { data: new Uint16Array(), shape };
  if (input.type === types.float32) return { data: new Float32Array(), shape };
  throw unknownInput(input, `has elements of type ${input.type} (onnx.TensorProto.DataType)`);
}

function unknownInput({ name }: FileValue, problem: string): LmRuntimeError {
  return new LmRuntimeError('ONNX_INPUT', `the model's input ${name} ${problem}`, {
    hint: 'Export it with input_ids and, at most, attention_mask, position_ids and past_key_values, with free axes for batch and sequence.',
    details: { input: name },
  });
}
