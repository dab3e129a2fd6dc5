import type { CacheLayout } from '../messages.js';
import { emptyPast } from './onnx-contract.js';
import type { FileValue, OnnxFile } from './onnx-file.js';

/** Keys and values that a model takes of earlier tokens and gives for the next step. */
export interface OnnxCache {
  /** Which output becomes which input. */
  readonly layout: CacheLayout;
  /** Those outputs. */
  readonly outputs: readonly FileValue[];
}

/**
 * Pairs the inputs and outputs of a model that hold keys and values by their names: `past_key_values.0.key` and
 * `present.0.key` (Optimum), `past_0` and `present_0`.
 *
 * @param file - the model
 * @returns the pairs, or `undefined` when there are none or an input has no output
 */
export function findCache({ inputs, outputs }: OnnxFile): OnnxCache | undefined {
  const pasts = inputs.filter(({ name }) => name.startsWith('past'));
  const presents = new Map(outputs.map((output) => [slotOf(output.name, 'present'), output]));
  const pairs = pasts.map((input) => ({ input, output: presents.get(slotOf(input.name, 'past')) }));
  if (pairs.length === 0) return undefined;
  const slots: CacheLayout['slots'][number][] = [];
  const kept: FileValue[] = [];
  for (const { input, output } of pairs) {
    if (output === undefined) return undefined;
    slots.push({ input: input.name, output: output.name, empty: emptyPast(input, 1) });
    kept.push(output);
  }
  return { layout: { kind: 'replace', slots }, outputs: kept };
}

/** What is left of a name without the word that says which side it is on: `.0.key`. */
function slotOf(name: string, side: 'past' | 'present'): string {
  return name.startsWith(side) ? name.slice(side.length).replace(/^_key_values/, '') : `none: ${name}`;
}
