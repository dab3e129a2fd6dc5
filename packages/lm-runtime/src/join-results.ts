import type { LmRunResult } from './run-contract.js';
import type { PlacedPart } from './run-parts.js';

/**
 * Puts the results of the parts of a batch into the order of its positions.
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
  if (parts.length === 1 && isInOrder(parts[0]) && into === undefined) return results[0];
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

function isInOrder({ ranges }: PlacedPart): boolean {
  return ranges.every(({ begin }, i) => i === 0 || begin === ranges[i - 1].end);
}
