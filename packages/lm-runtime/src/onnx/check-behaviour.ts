import { float32FromFloat16 } from '@knn-lm/common';
import { LmRuntimeError } from '../errors.js';
import type { LmRunResult } from '../run-contract.js';
import type { RunPart } from '../run-parts.js';

/** Windows and their length in the trial. */
const rows = 2;
const width = 4;

/** Relative to the largest element; models in half precision differ by some thousandths between shapes of a batch. */
const tolerance = 0.02;

/** Runs a part of a batch. */
export type TrialRun = (part: RunPart) => Promise<LmRunResult>;

/**
 * Runs a model on a few tokens, and checks that it gives a vector for each token that depends on this and earlier tokens of
 * the same row only. An exported graph says nothing of the kind: its tensor may be turned around, or see what follows.
 *
 * @param run - runs the model
 * @param module - what is captured, for messages
 * @param vocabSize - ids are below this
 * @returns width of the captured vectors
 * @throws LmRuntimeError `MODULE_SHAPE`, `MODEL_NOT_CAUSAL`
 */
export async function checkBehaviour(run: TrialRun, module: string, vocabSize: number): Promise<number> {
  const tokens = Int32Array.from({ length: rows * width }, (_, i) => (5 + 7 * i) % vocabSize);
  const both = await trial(run, tokens, rows, module);
  const keyDimension = both.keys.length / tokens.length;
  if (!Number.isInteger(keyDimension) || keyDimension < 1) throw shapeProblem(module);
  const second = await trial(run, tokens.slice(width), 1, module);
  if (!isNear(second, part(both, keyDimension, width, 2 * width), keyDimension)) throw shapeProblem(module);
  const changed = tokens.slice(0, width);
  changed[width - 1] = (changed[width - 1] + 1) % vocabSize;
  const other = part(await trial(run, changed, 1, module), keyDimension, 0, width - 1);
  if (isNear(other, part(both, keyDimension, 0, width - 1), keyDimension)) return keyDimension;
  throw new LmRuntimeError(
    'MODEL_NOT_CAUSAL',
    `${module}: what it gives for a token depends on later tokens`,
    {
      hint: 'Give a causal language model, and a module whose output has one vector for each token, [batch, tokens, width].',
      details: { module },
    },
  );
}

async function trial(run: TrialRun, tokens: Int32Array, count: number, module: string): Promise<LmRunResult> {
  const positions = Int32Array.from(tokens.keys());
  // The arrays of a part go to the worker.
  const part = { rows: count, width, tokens: tokens.slice(), positions, targets: tokens.slice() };
  try {
    return await run(part);
  } catch (cause) {
    if (!(cause instanceof LmRuntimeError) || cause.code !== 'RUN_FAILED') throw cause;
    throw new LmRuntimeError(
      'MODULE_SHAPE',
      `${module}: a trial of ${count} x ${width} tokens failed: ${cause.message}`,
      {
        hint: 'Batch and sequence must be free axes of the exported model (dynamic_axes), and the captured module must give a vector for each token.',
        details: { module },
        cause,
      },
    );
  }
}

function part(
  { keys, logProbs }: LmRunResult,
  keyDimension: number,
  begin: number,
  end: number,
): LmRunResult {
  return {
    keys: keys.slice(begin * keyDimension, end * keyDimension),
    logProbs: logProbs?.slice(begin, end),
  };
}

function isNear(found: LmRunResult, expected: LmRunResult, keyDimension: number): boolean {
  if (found.keys.length % keyDimension !== 0) return false;
  const near = areNear(numbers(found.keys), numbers(expected.keys));
  if (found.logProbs === undefined || expected.logProbs === undefined) return near;
  return near && areNear(found.logProbs, expected.logProbs);
}

function numbers(keys: Uint16Array | Float32Array): Float32Array {
  return keys instanceof Uint16Array ? float32FromFloat16(keys) : keys;
}

/** Whether two arrays are the same but for rounding. */
export function areNear(found: Float32Array, expected: Float32Array): boolean {
  const largest = expected.reduce((max, x) => Math.max(max, Math.abs(x)), 1e-6);
  return (
    found.length === expected.length &&
    found.every((x, i) => Math.abs(x - expected[i]) <= tolerance * largest)
  );
}

function shapeProblem(module: string): LmRuntimeError {
  return new LmRuntimeError('MODULE_SHAPE', `${module}: its output is not one vector for each token`, {
    hint: 'Choose a module whose output is [batch, tokens, width] (knn-lm list-modules MODEL).',
    details: { module },
  });
}
