import type { LmArchitecture } from '../architecture.js';
import type { DerivedTensor } from '../weights.js';

/**
 * Tensors that the graphs need beside the parameters.
 *
 * None at present: the graphs compute the sinusoidal positions for the width of each batch, so that no input is too
 * long for a table, and apply each projection on its own.
 *
 * @param _architecture - the model
 */
export function derivedTensors(_architecture: LmArchitecture): readonly DerivedTensor[] {
  return [];
}
