/** A word that the neighbours predict, and its share of their weight. */
export type ClientPrediction = readonly [word: string, share: number];

/** One neighbour, as the page's script reads it. */
export type ClientNeighbor = readonly [
  row: number,
  distance: number,
  share: number,
  word: string,
  before: string,
  after: string,
];

/** One token, as the page's script reads it; probabilities, not logarithms, and the gain in bits. */
export type ClientToken = readonly [
  lmProb: number,
  knnProb: number,
  prob: number,
  gain: number,
  predictions: readonly ClientPrediction[],
  neighbors: readonly ClientNeighbor[],
];

/** One passage, token by token. */
export type ClientPassage = readonly ClientToken[];
