/**
 * The weight of a mixture of two distributions that makes a text most probable, by expectation maximisation (Dempster,
 * Laird and Rubin 1977). The logarithm of the likelihood is concave in the weight, so that there is one maximum.
 */

/** Probabilities of the same tokens under two distributions. */
export interface PairedProbs {
  /** `[tokens]` p_kNN. */
  readonly knnProbs: Float32Array;
  /** `[tokens]` p_LM. */
  readonly lmProbs: Float64Array;
}

/** Tokens that are imagined beside the real ones: they pull a weight that few tokens decide towards a known one. */
export interface WeightPrior {
  /** The known weight, 0 to 1. */
  readonly weight: number;
  /** How many tokens are imagined. */
  readonly tokens: number;
}

/** A fitted weight. */
export interface FittedWeight {
  /** Weight of p_kNN. */
  readonly lambda: number;
  /** Sum of the natural logarithms of the mixture at each iteration, the prior's part included; it never falls. */
  readonly logLikelihoods: readonly number[];
}

/** A step shorter than this changes no perplexity in the digits that are shown. */
const smallestStep = 1e-7;
const mostIterations = 500;
/** A weight this near to 0 or 1 may want to be there. */
const nearBoundary = 1e-4;
/** Rounding must not take a weight to 0 or 1, from where no iteration leads away, or beyond. */
const barelyInside = 1e-12;
const noPrior: WeightPrior = { weight: 0.5, tokens: 0 };

/**
 * Fits the weight of p_kNN. An iteration is that of expectation maximisation, or a longer Newton step unless it turns out
 * to lower the likelihood: some six iterations instead of a hundred. Tokens to which both distributions give the
 * probability 0 have no say.
 *
 * @param pairs - probabilities
 * @param prior - pulls the weight; nothing does without it
 */
export function fitMixtureWeight(pairs: PairedProbs, prior: WeightPrior = noPrior): FittedWeight {
  const logLikelihoods: number[] = [];
  let lambda = prior.tokens > 0 ? Math.min(0.99, Math.max(0.01, prior.weight)) : 0.5;
  let before: Statistics | undefined;
  for (let iteration = 0; iteration < mostIterations; iteration++) {
    const now = statisticsAt(lambda, pairs, prior);
    if (now.tokens === 0) return { lambda: prior.tokens > 0 ? prior.weight : 0, logLikelihoods };
    if (before !== undefined && now.logLikelihood < before.logLikelihood) {
      // Newton went too far; the step of expectation maximisation cannot.
      if (Math.abs(before.expectation - lambda) < smallestStep) break;
      lambda = before.expectation;
      before = undefined;
      continue;
    }
    logLikelihoods.push(now.logLikelihood);
    const next = nextWeight(lambda, now);
    if (Math.abs(next - lambda) < smallestStep) break;
    before = now;
    lambda = next;
  }
  return { lambda: atBoundary(lambda, pairs, prior), logLikelihoods };
}

/**
 * One iteration of expectation maximisation: the mean share that p_kNN has in the mixture.
 *
 * @param lambda - the weight now
 * @param pairs - probabilities
 * @returns the next weight
 */
export function expectationStep(lambda: number, pairs: PairedProbs): number {
  return statisticsAt(lambda, pairs, noPrior).expectation;
}

interface Statistics {
  readonly tokens: number;
  readonly logLikelihood: number;
  /** First and second derivative of the logarithm of the likelihood. */
  readonly slope: number;
  readonly curvature: number;
  /** The next weight of expectation maximisation. */
  readonly expectation: number;
}

function statisticsAt(lambda: number, { knnProbs, lmProbs }: PairedProbs, prior: WeightPrior): Statistics {
  let [tokens, slope, curvature, logLikelihood, product] = [0, 0, 0, 0, 1];
  for (let i = 0; i < knnProbs.length; i++) {
    const mixed = (1 - lambda) * lmProbs[i] + lambda * knnProbs[i];
    if (mixed === 0) continue;
    tokens++;
    const ratio = (knnProbs[i] - lmProbs[i]) / mixed;
    slope += ratio;
    curvature -= ratio * ratio;
    // One logarithm for many tokens: it costs more than all the rest.
    const longer = product * mixed;
    if (longer > 1e-200) product = longer;
    else {
      logLikelihood += Math.log(product) + Math.log(mixed);
      product = 1;
    }
  }
  logLikelihood += Math.log(product);
  if (prior.tokens > 0) {
    const [for1, for0] = [prior.tokens * prior.weight, prior.tokens * (1 - prior.weight)];
    slope += for1 / lambda - for0 / (1 - lambda);
    curvature -= for1 / lambda ** 2 + for0 / (1 - lambda) ** 2;
    if (for1 > 0) logLikelihood += for1 * Math.log(lambda);
    if (for0 > 0) logLikelihood += for0 * Math.log(1 - lambda);
  }
  const step = tokens === 0 ? 0 : (lambda * (1 - lambda) * slope) / (tokens + prior.tokens);
  const expectation = Math.min(1 - barelyInside, Math.max(barelyInside, lambda + step));
  return { tokens, logLikelihood, slope, curvature, expectation };
}

/** The Newton step where it goes further than expectation maximisation; at most nine tenths of the way to 0 or 1. */
function nextWeight(lambda: number, { slope, curvature, expectation }: Statistics): number {
  const newton = curvature < 0 ? lambda - slope / curvature : expectation;
  const inside = Math.min(1 - (1 - lambda) / 10, Math.max(lambda / 10, newton));
  return Math.abs(inside - lambda) > Math.abs(expectation - lambda) ? inside : expectation;
}

/** The iterations come near to 0 and 1 but never there: the slope there says whether the maximum is. */
function atBoundary(lambda: number, { knnProbs, lmProbs }: PairedProbs, prior: WeightPrior): number {
  if (lambda > nearBoundary && lambda < 1 - nearBoundary) return lambda;
  const boundary = lambda <= nearBoundary ? 0 : 1;
  // A prior inside forbids the boundary; one at the boundary adds nothing to the slope that would lead away from it.
  if (prior.tokens > 0 && prior.weight !== boundary) return lambda;
  const there = boundary === 0 ? lmProbs : knnProbs;
  let slope = 0;
  for (let i = 0; i < knnProbs.length; i++) {
    if (knnProbs[i] === lmProbs[i]) continue;
    slope += (knnProbs[i] - lmProbs[i]) / there[i];
  }
  return (boundary === 0 ? slope <= 0 : slope >= 0) ? boundary : lambda;
}
