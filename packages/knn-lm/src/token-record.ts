import type { Dictionary, TokenDataset } from '@knn-lm/binarizer';
import type { DatastoreText } from './datastore-text.js';
import { lambdaOf, type Mixing, type Mixture } from './mixture.js';
import { missingDistance, type RetrievedNeighbors } from './probability.js';
import type { ScoredBatch } from './score.js';
import { TextPlaces, type TextPlace } from './text-places.js';

/** One neighbour of a token. */
export interface NeighborRecord {
  /** Row of the datastore; -1 where the index found nothing and the last row stands in. */
  readonly row: number;
  /** Squared distance, the index's or recomputed, as the search was asked. */
  readonly distance: number;
  /** Its share of the softmax weight of all k neighbours. */
  readonly share: number;
  /** Id of its value. */
  readonly id: number;
  /** Its value: the token that followed its context. */
  readonly word: string;
  /** Where the value is in the datastore's text; absent where that is not known. */
  readonly place?: TextPlace | undefined;
  /** The tokens before it there; absent where that is not known. */
  readonly context?: readonly string[] | undefined;
}

/** What is known of one evaluated token. */
export interface TokenRecord extends TextPlace {
  /** Its id. */
  readonly id: number;
  /** The token. */
  readonly word: string;
  /** The tokens before it in the text. */
  readonly context: readonly string[];
  /** The model's probability. */
  readonly pLm: number;
  /** The neighbours' probability; `undefined` without a search. */
  readonly pKnn: number | undefined;
  /** The mixture's probability. */
  readonly p: number;
  /** Weight of the neighbours at this token. */
  readonly lambda: number;
  /** What the neighbours gain, in bits: log2(p / pLm). */
  readonly gain: number;
  /** Neighbours, nearest first. */
  readonly neighbors: readonly NeighborRecord[];
}

/** What {@link TokenRecorder} works with. */
export interface TokenRecorderOptions {
  /** Names of the tokens. */
  readonly dictionary: Dictionary;
  /** The evaluated text. */
  readonly dataset: TokenDataset;
  /** The settings that the text is evaluated with. */
  readonly mixing: Mixing;
  /** Gives the neighbours their own contexts: the text of the datastore, or its texts where several were appended. */
  readonly datastoreText?: DatastoreText | readonly DatastoreText[] | undefined;
  /**
   * Neighbours in a record.
   *
   * @defaultValue 10
   */
  readonly neighbors?: number | undefined;
  /**
   * Tokens of a context.
   *
   * @defaultValue 12
   */
  readonly contextTokens?: number | undefined;
}

/**
 * Makes records of evaluated tokens: what the model thought, what was retrieved, and from where.
 *
 * @example
 * ```ts
 * const recorder = new TokenRecorder({ dictionary, dataset, mixing });
 * await evaluate(model, plan, {
 *   ...mixing,
 *   retriever,
 *   onBatch(batch, logProbs, knnProbs) {
 *     for (const i of batch.tokens.keys()) console.log(recorder.record(batch, { logProbs, knnProbs }, i));
 *   },
 * });
 * ```
 */
export class TokenRecorder {
  readonly #options: TokenRecorderOptions;
  readonly #places: TextPlaces;
  readonly #origins: readonly { readonly text: DatastoreText; readonly places: TextPlaces }[];

  /**
   * Finds out where the sentences of the texts are.
   *
   * @param options - texts, settings and lengths
   */
  constructor(options: TokenRecorderOptions) {
    const { dataset, datastoreText = [] } = options;
    this.#options = options;
    this.#places = new TextPlaces(dataset);
    this.#origins = [datastoreText].flat().map((text) => ({ text, places: new TextPlaces(text.dataset) }));
  }

  /**
   * Makes the record of one token.
   *
   * @param batch - scored tokens
   * @param mixture - what they were mixed to
   * @param i - which of them
   */
  record(batch: ScoredBatch, mixture: Mixture, i: number): TokenRecord {
    const { dictionary, dataset, mixing } = this.#options;
    const { tokens, textPositions, lmLogProbs, neighbors } = batch;
    const logProb = mixture.logProbs[i];
    return {
      ...this.#places.at(textPositions[i]),
      id: tokens[i],
      word: dictionary.symbol(tokens[i]),
      context: this.#context(dataset, textPositions[i]),
      pLm: Math.exp(lmLogProbs[i]),
      pKnn: mixture.knnProbs?.[i],
      p: Math.exp(logProb),
      lambda: neighbors === undefined ? 0 : lambdaOf(mixing.lambda, neighbors, i, mixing.k),
      gain: (logProb - lmLogProbs[i]) / Math.LN2,
      neighbors: neighbors === undefined ? [] : this.#neighbors(neighbors, i),
    };
  }

  #context(dataset: TokenDataset, position: number): string[] {
    const { contextTokens = 12 } = this.#options;
    return this.#words(dataset.readTokens(Math.max(0, position - contextTokens), position));
  }

  #words(ids: Int32Array): string[] {
    return Array.from(ids, (id) => this.#options.dictionary.symbol(id));
  }

  #neighbors(neighbors: RetrievedNeighbors, query: number): NeighborRecord[] {
    const { dictionary, mixing, neighbors: limit = 10 } = this.#options;
    const shares = neighborShares(neighbors, query, mixing);
    const begin = query * neighbors.k;
    const distances = neighbors.distances.subarray(begin, begin + shares.length);
    return nearestFirst(distances, limit).map((n) => {
      const id = neighbors.values[begin + n];
      return {
        row: neighbors.ids[begin + n],
        distance: distances[n],
        share: shares[n],
        id,
        word: dictionary.symbol(id),
        ...this.#origin(neighbors.ids[begin + n], id),
      };
    });
  }

  /** Where a row comes from; nothing where the text has another token there than the row's value. */
  #origin(row: number, value: number): Pick<NeighborRecord, 'place' | 'context'> {
    const { contextTokens = 12 } = this.#options;
    for (const { text, places } of this.#origins) {
      const position = text.position(row);
      if (position === undefined) continue;
      const ids = text.dataset.readTokens(Math.max(0, position - contextTokens), position + 1);
      if (ids[ids.length - 1] !== value) continue;
      return { place: places.at(position), context: this.#words(ids.subarray(0, -1)) };
    }
    return {};
  }
}

/**
 * The share of each neighbour in p_kNN: the softmax over minus the distances, with the weights of a pruned datastore.
 *
 * @param neighbors - neighbours of all queries
 * @param query - row of the query
 * @param mixing - temperature and k
 * @returns `[k]`; they add up to 1, or are all 0 where nothing was found
 */
export function neighborShares(
  neighbors: RetrievedNeighbors,
  query: number,
  mixing: Pick<Mixing, 'temperature' | 'k'>,
): Float64Array {
  const { temperature, k = neighbors.k } = mixing;
  const begin = query * neighbors.k;
  const distances = neighbors.distances.subarray(begin, begin + k);
  const shares = new Float64Array(k);
  let nearest = Infinity;
  for (let n = 0; n < k; n++) nearest = Math.min(nearest, distances[n]);
  if (!(nearest < missingDistance)) return shares;
  let total = 0;
  for (let n = 0; n < k; n++) {
    const weight = neighbors.weights === undefined ? 1 : neighbors.weights[begin + n];
    shares[n] = weight * Math.exp((nearest - distances[n]) / temperature);
    total += shares[n];
  }
  if (total > 0) for (let n = 0; n < k; n++) shares[n] /= total;
  return shares;
}

/**
 * The nearest of the neighbours that were found, by distance; recomputed distances are not in order, but nearly, so that
 * inserting each into the few that are wanted is fast.
 */
function nearestFirst(distances: Float32Array, limit: number): number[] {
  const nearest: number[] = [];
  for (let n = 0; n < distances.length; n++) {
    const distance = distances[n];
    if (!(distance < missingDistance)) continue;
    if (nearest.length >= limit && !(distance < distances[nearest[limit - 1]])) continue;
    let at = Math.min(nearest.length, limit - 1);
    for (; at > 0 && distances[nearest[at - 1]] > distance; at--) nearest[at] = nearest[at - 1];
    if (limit > 0) nearest[at] = n;
  }
  return nearest;
}
