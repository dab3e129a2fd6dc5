import { join } from 'node:path';
import { readNpy, readNpz, type NpyArray } from '@knn-lm/testing';
import type { LmRunBatch } from '../src/batch.js';

/** What fairseq computes for one batch of a golden model. */
export interface GoldenModel {
  /** Every position of the batch that is not padding. */
  readonly batch: LmRunBatch;
  /** Output of the decoder before the output layer, `[B, T, C]`. */
  readonly features: NpyArray;
  /** Log-probability of the target, `[B, T]`. */
  readonly targetLogProbs: NpyArray;
  /** Outputs of modules by fairseq's path (`layers.0.fc1`); those of layers are `[T, B, C]`. */
  readonly activations: ReadonlyMap<string, NpyArray>;
}

/** Reads the golden arrays of a model. */
export function readGoldenModel(folder: string): GoldenModel {
  const sourceTokens = readNpy(join(folder, 'src_tokens.npy'));
  const [rows, width] = sourceTokens.shape;
  const tokens = Int32Array.from(sourceTokens.data, Number);
  const targets = Int32Array.from(readNpy(join(folder, 'target.npy')).data, Number);
  const positions = Int32Array.from(tokens.keys()).filter((i) => tokens[i] !== 1);
  return {
    batch: { rows, width, tokens, targets, positions },
    features: readNpy(join(folder, 'features.npy')),
    targetLogProbs: readNpy(join(folder, 'target_logprobs.npy')),
    activations: readNpz(join(folder, 'activations.npz')),
  };
}

/** Elements of a module's output at the wanted positions, `[n, C]`. */
export function activationsAt({ batch }: GoldenModel, path: string, array: NpyArray): Float32Array {
  const { rows, width, positions } = batch;
  const dimension = array.shape[2];
  // fairseq's layers work on [T, B, C], its embeddings on [B, T, C].
  const timeFirst = path.startsWith('layer');
  const result = new Float32Array(positions.length * dimension);
  positions.forEach((position, i) => {
    const at = timeFirst ? (position % width) * rows + Math.floor(position / width) : position;
    for (let c = 0; c < dimension; c++) {
      result[i * dimension + c] = Number(array.data[at * dimension + c]);
    }
  });
  return result;
}

/** Largest absolute difference; infinite where one array holds NaN, or the lengths differ. */
export function maxDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (found.length !== expected.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < found.length; i++) {
    const difference = Math.abs(found[i] - expected[i]);
    if (!(difference <= largest)) largest = Number.isNaN(difference) ? Infinity : difference;
  }
  return largest;
}
