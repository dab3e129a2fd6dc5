import type { LmArchitecture } from '../architecture.js';
import type { DerivedTensor } from '../weights.js';

/**
 * Tensors that the graphs need beside the parameters, to be stored in the weights file.
 *
 * There are none at present: the graphs compute the sinusoidal positions for the width of each batch, so that no input
 * is too long for a table, and joining the projections of an attention saves no time (measured).
 */
export const derivedTensors: (architecture: LmArchitecture) => readonly DerivedTensor[] = () => [];
