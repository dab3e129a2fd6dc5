import { KnnError } from './errors.js';
import type { NeighborLists } from './neighbor-lists.js';

/** What one unit of a text gives when one shard of an index is searched. */
export interface NeighborRecord {
  /** `[tokens]` token ids. */
  readonly tokens: Int32Array;
  /** `[tokens]` natural logarithm of p_LM. */
  readonly lmLogProbs: Float32Array;
  /** The neighbours of each token's hidden state in the shard. */
  readonly lists: NeighborLists;
}

const headerWords = 4;

/**
 * Writes a record as bytes: uint32 tokens, k, 1 where there are weights, 0; then token ids (int32), log-probabilities
 * (float32), rows (float64), both distances (float32), values (int32) and weights (float32), all little-endian.
 */
export function encodeNeighborRecord({ tokens, lmLogProbs, lists }: NeighborRecord): Uint8Array {
  const { k, ids, indexDistances, distances, values, weights } = lists;
  const head = Uint32Array.of(tokens.length, k, weights === undefined ? 0 : 1, 0);
  const arrays = [head, tokens, lmLogProbs, ids, indexDistances, distances, values];
  if (weights !== undefined) arrays.push(weights);
  return Buffer.concat(
    arrays.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength)),
  );
}

/**
 * Reads a record.
 *
 * @throws {@link KnnError} `PARTIAL_DAMAGED` when its length is not what it says
 */
export function decodeNeighborRecord(payload: Uint8Array): NeighborRecord {
  // A copy: views on numbers of eight bytes must begin on a multiple of eight.
  const { buffer } = new Uint8Array(payload);
  const [count, k, hasWeights] =
    payload.length < headerWords * 4 ? [0, 0, 0] : new Uint32Array(buffer, 0, headerWords);
  const cells = count * k;
  const expected = headerWords * 4 + count * 8 + cells * (20 + (hasWeights === 1 ? 4 : 0));
  if (payload.length !== expected || k === 0) {
    throw new KnnError(
      'PARTIAL_DAMAGED',
      `a record of neighbours has ${payload.length} bytes, expected ${expected}`,
      {
        hint: 'Evaluate the shard again.',
        details: { found: payload.length, expected },
      },
    );
  }
  let at = headerWords * 4;
  const next = (bytes: number) => (at += bytes) - bytes;
  const tokens = new Int32Array(buffer, next(count * 4), count);
  const lmLogProbs = new Float32Array(buffer, next(count * 4), count);
  const ids = new Float64Array(buffer, next(cells * 8), cells);
  const indexDistances = new Float32Array(buffer, next(cells * 4), cells);
  const distances = new Float32Array(buffer, next(cells * 4), cells);
  const values = new Int32Array(buffer, next(cells * 4), cells);
  const weights = hasWeights === 1 ? new Float32Array(buffer, next(cells * 4), cells) : undefined;
  return { tokens, lmLogProbs, lists: { k, ids, indexDistances, distances, values, weights } };
}
