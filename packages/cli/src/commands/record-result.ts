import type { NeighborRecord, TokenRecord } from '@knn-lm/knn-lm';

/** The record of a token for programs: a line of `--output-neighbors`, `inspect --jsonl` and `inspect --json`. */
export function recordResult(record: TokenRecord): object {
  const { sentence, token, position, id, word, context, pLm, pKnn, p, lambda, gain, neighbors } = record;
  return {
    sentence,
    token,
    position,
    id,
    word,
    context,
    p_lm: pLm,
    p_knn: pKnn ?? null,
    p,
    lambda_value: lambda,
    gain_bits: gain,
    neighbors: neighbors.map(neighborResult),
  };
}

function neighborResult({ row, distance, share, id, word, place, context }: NeighborRecord): object {
  return { row, distance, share, id, word, ...place, ...(context === undefined ? {} : { context }) };
}
