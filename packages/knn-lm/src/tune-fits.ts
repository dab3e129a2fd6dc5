import {
  fitAdaptiveLambda,
  lambdaFunction,
  type AdaptiveLambda,
  type DistancedProbs,
} from './adaptive-lambda.js';
import { LossSum, type Evaluation } from './evaluate.js';
import { fitMixtureWeight } from './mixture-weight.js';
import type { LambdaFunction } from './mixture.js';

/** A lambda that was fitted for a number of neighbours and a temperature, and its result. */
export interface FittedResult<Lambda extends number | AdaptiveLambda> extends Evaluation {
  /** Neighbours that counted. */
  readonly k: number;
  /** Divisor of the squared distances. */
  readonly temperature: number;
  /** What was fitted. */
  readonly lambda: Lambda;
}

/** Lambdas of one kind, fitted for every number of neighbours and temperature. */
export interface Fits<Lambda extends number | AdaptiveLambda> {
  /** The one with the lowest loss. */
  readonly best: FittedResult<Lambda>;
  /** All: k slowest, then temperature. */
  readonly results: readonly FittedResult<Lambda>[];
  /**
   * The loss of the best k and temperature on tokens that its lambda was not fitted on: fitted on each half of the text
   * and evaluated on the other. It tells whether a function of many steps only follows chance.
   */
  readonly heldOut: Evaluation;
}

/** A way to fit a lambda. */
export interface LambdaKind<Lambda extends number | AdaptiveLambda> {
  /** Fits it. */
  readonly fit: (tokens: DistancedProbs) => Lambda;
  /** Lambda at a distance. */
  readonly function: (lambda: Lambda) => LambdaFunction;
}

/** One lambda for all tokens, by expectation maximisation. */
export const constantLambda: LambdaKind<number> = {
  fit: (tokens) => fitMixtureWeight(tokens).lambda,
  function: (lambda) => () => lambda,
};

/** Lambda as a function of the nearest neighbour's distance. */
export function steppedLambda(steps: number | undefined): LambdaKind<AdaptiveLambda> {
  return { fit: (tokens) => fitAdaptiveLambda(tokens, { steps }), function: lambdaFunction };
}

/**
 * The loss of tokens with a lambda.
 *
 * @param tokens - p_kNN, p_LM and nearest distance of each
 * @param lambda - weight of the neighbours at a distance
 * @param loss - adds to it
 */
export function lossWith(tokens: DistancedProbs, lambda: LambdaFunction, loss = new LossSum()): LossSum {
  const { knnProbs, lmProbs, nearest } = tokens;
  for (let i = 0; i < knnProbs.length; i++) {
    const weight = lambda(nearest[i]);
    loss.add(Math.log((1 - weight) * lmProbs[i] + weight * knnProbs[i]));
  }
  return loss;
}

/** The loss of each half of some tokens with the lambda that was fitted on the other. */
export function heldOutLoss<Lambda extends number | AdaptiveLambda>(
  tokens: DistancedProbs,
  kind: LambdaKind<Lambda>,
): Evaluation {
  // Halves, not every second token: neighbouring tokens are of one document, and say the same.
  const middle = Math.floor(tokens.knnProbs.length / 2);
  const halves = [slice(tokens, 0, middle), slice(tokens, middle, tokens.knnProbs.length)];
  const loss = new LossSum();
  lossWith(halves[1], kind.function(kind.fit(halves[0])), loss);
  lossWith(halves[0], kind.function(kind.fit(halves[1])), loss);
  return loss.result();
}

function slice({ knnProbs, lmProbs, nearest }: DistancedProbs, begin: number, end: number): DistancedProbs {
  return {
    knnProbs: knnProbs.subarray(begin, end),
    lmProbs: lmProbs.subarray(begin, end),
    nearest: nearest.subarray(begin, end),
  };
}
