import type { LmRunResult } from './run-contract.js';
import type { PlacedPart } from './run-parts.js';

/**
 * Copies the results of the parts of a batch in the order of its positions: the arrays of the parts are used again.
 *
 * @param parts - parts that together have all positions of the batch, each once
 * @param results - their results
 * @param into - receives the hidden states, where it is given
 */
export function joinResults(
  parts: readonly PlacedPart[],
  results: readonly LmRunResult[],
  into?: LmRunResult['keys'],
): LmRunResult {
  // The arrays of the parts are in the worker by now; the ranges are not.
  const sizes = parts.map(({ ranges }) => ranges.reduce((sum, { begin, end }) => sum + end - begin, 0));
  const count = sizes.reduce((sum, size) => sum + size, 0);
  const logProbs = results[0].logProbs === undefined ? undefined : new Float32Array(count);
  const width = results[0].keys.length / sizes[0];
  const Elements = results[0].keys instanceof Uint16Array ? Uint16Array : Float32Array;
  const keys = into?.subarray(0, count * width) ?? new Elements(count * width);
  parts.forEach((part, i) => {
    let at = 0;
    for (const { begin, end } of part.ranges) {
      const next = at + end - begin;
      keys.set(results[i].keys.subarray(at * width, next * width), begin * width);
      logProbs?.set(results[i].logProbs?.subarray(at, next) ?? [], begin);
      at = next;
    }
  });
  return { keys, logProbs };
}
