import type { Pcg64 } from '@knn-lm/common';
import { KnnError } from './errors.js';

/** How a token is drawn from a distribution; the options of `fairseq-generate`. */
export interface Sampling {
  /**
   * Divides the logarithms of the probabilities: below 1 likely tokens become likelier.
   * @defaultValue 1
   */
  readonly temperature?: number | undefined;
  /** Only this many of the likeliest tokens; all of them when left out. */
  readonly topK?: number | undefined;
  /**
   * Only the likeliest tokens that together have this probability, and at least one (nucleus sampling, Holtzman et al.
   * 2020); after `topK` where both are given. All of them when left out.
   */
  readonly topP?: number | undefined;
  /** Seed of the random numbers (numpy's default generator). */
  readonly seed: number;
}

/** The tokens that may be drawn: likeliest first, or all in the order of their ids where nothing is left out. */
export interface DrawableTokens {
  /** `[n]` ids. */
  readonly tokens: Int32Array;
  /** `[n]` probabilities; they sum to 1. */
  readonly probs: Float64Array;
}

/**
 * Checks the settings of sampling.
 *
 * @throws {@link KnnError} `SAMPLING_RANGE`
 */
export function checkSampling({ temperature, topK, topP, seed }: Sampling): void {
  const checks: [name: string, value: number | undefined, fits: (value: number) => boolean, rule: string][] =
    [
      ['the temperature', temperature, (value) => value > 0 && value < Infinity, 'above 0'],
      ['top-k', topK, (value) => Number.isInteger(value) && value > 0, 'a whole number above 0'],
      ['top-p', topP, (value) => value > 0 && value <= 1, 'above 0 and at most 1'],
      ['the seed', seed, (value) => Number.isSafeInteger(value) && value >= 0, 'a whole number from 0'],
    ];
  for (const [name, value, fits, rule] of checks) {
    if (value === undefined || fits(value)) continue;
    throw new KnnError('SAMPLING_RANGE', `${name} of sampling is ${value}; it must be ${rule}`, {
      details: { value },
    });
  }
}

/**
 * The distribution that tokens are drawn from. Tokens of equal probability stand in the order of their ids.
 *
 * @param logProbs - `[vocabulary]` natural logarithms, up to a constant; not all of them minus infinity
 * @param sampling - temperature, top-k, top-p
 */
export function drawableTokens(
  logProbs: Float64Array,
  { temperature = 1, topK = Infinity, topP = 1 }: Omit<Sampling, 'seed'>,
): DrawableTokens {
  const largest = logProbs.reduce((max, x) => Math.max(max, x), -Infinity);
  const weights = logProbs.map((logProb) => Math.exp((logProb - largest) / temperature));
  const order = likeliest(weights, topK, topP);
  let total = 0;
  for (const token of order) total += weights[token];
  const count = topP < 1 ? nucleusSize(weights, order, topP * total) : order.length;
  const tokens = order.slice(0, count);
  let kept = 0;
  for (const token of tokens) kept += weights[token];
  return { tokens, probs: Float64Array.from(tokens, (token) => weights[token] / kept) };
}

/** The tokens that may be among the chosen ones; sorted, which takes a while, only where some are left out. */
function likeliest(weights: Float64Array, topK: number, topP: number): Int32Array {
  if (topK >= weights.length && topP === 1) {
    return Int32Array.from(weights.keys()).filter((token) => weights[token] > 0);
  }
  const floor = topK < weights.length ? kthLargest(weights, topK) : negligible(weights, topP);
  const candidates = Int32Array.from(weights.keys()).filter(
    (token) => weights[token] >= floor && weights[token] > 0,
  );
  candidates.sort((a, b) => weights[b] - weights[a] || a - b);
  return candidates.subarray(0, Math.min(topK, candidates.length));
}

function kthLargest(weights: Float64Array, k: number): number {
  return weights.toSorted()[weights.length - k];
}

/**
 * Tokens below this have together less than what the nucleus leaves out: they need not be sorted. 0 where all may be
 * drawn.
 */
function negligible(weights: Float64Array, topP: number): number {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return ((1 - topP) * total) / weights.length;
}

/** Number of tokens whose weights first reach `wanted`. */
function nucleusSize(weights: Float64Array, order: Int32Array, wanted: number): number {
  let sum = 0;
  for (let i = 0; i < order.length; i++) {
    sum += weights[order[i]];
    if (sum >= wanted) return i + 1;
  }
  return order.length;
}

/** A token drawn from one distribution, and the one that another would have given. */
export interface CoupledDraw {
  /** Drawn from the distribution that is wanted. */
  readonly token: number;
  /** Drawn from the reference with the same random numbers. */
  readonly reference: number;
}

/**
 * Draws a token, and says what another distribution would have given with the same random numbers. The two draws are
 * coupled maximally: each has exactly its own distribution, and they differ as rarely as two such draws can, with the
 * total variation distance of the distributions as probability (Lindvall, "Lectures on the Coupling Method", 1992).
 * Three random numbers are used whatever happens, so that runs that differ in one token stay comparable.
 *
 * @param wanted - distribution of the result
 * @param reference - the other distribution
 * @param random - source of random numbers
 */
export function drawCoupled(wanted: DrawableTokens, reference: DrawableTokens, random: Pcg64): CoupledDraw {
  const [first, accept, second] = [uniform(random), uniform(random), uniform(random)];
  const drawn = drawFrom(reference, first);
  const [wantedProbs, referenceProbs] = dense([wanted, reference]);
  if (accept * referenceProbs[drawn] < wantedProbs[drawn]) return { token: drawn, reference: drawn };
  // What the wanted distribution has more of than the reference.
  const gained = Float64Array.from(wanted.tokens, (token) =>
    Math.max(0, wantedProbs[token] - referenceProbs[token]),
  );
  return { token: drawFrom({ tokens: wanted.tokens, probs: gained }, second), reference: drawn };
}

/** Probabilities by id. */
function dense(distributions: readonly DrawableTokens[]): Float64Array[] {
  const ids = distributions.map(({ tokens }) => tokens.reduce((max, token) => Math.max(max, token), 0));
  return distributions.map(({ tokens, probs }) => {
    const all = new Float64Array(Math.max(...ids) + 1);
    tokens.forEach((token, i) => (all[token] = probs[i]));
    return all;
  });
}

/** The token at which the summed probabilities pass a share of their total. */
function drawFrom({ tokens, probs }: DrawableTokens, share: number): number {
  const total = probs.reduce((sum, prob) => sum + prob, 0);
  let rest = share * total;
  let last = 0;
  for (let i = 0; i < tokens.length; i++) {
    if (probs[i] === 0) continue;
    last = i;
    rest -= probs[i];
    if (rest < 0) break;
  }
  return tokens[last];
}

/** A double from 0 to 1 with 53 random bits, as numpy's `Generator.random` makes it. */
function uniform(random: Pcg64): number {
  const low = random.nextUint32();
  const high = random.nextUint32();
  return (high * 2 ** 21 + (low >>> 11)) / 2 ** 53;
}
