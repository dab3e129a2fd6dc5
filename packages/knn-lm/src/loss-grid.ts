import { evaluationOf, type Evaluation } from './evaluate.js';

/** Below this a product of probabilities is turned into a logarithm, far from the smallest numbers there are. */
const smallestProduct = 1e-200;

/**
 * Sums the losses of many lambdas for many distributions of the neighbours. For a pair of p_kNN and p_LM a lambda costs
 * two multiplications: probabilities are multiplied, and a logarithm is only taken when the product becomes small.
 */
export class LossGrid {
  readonly #lambdas: Float64Array;
  /** `[distributions, lambdas]` logarithms so far, and the product that is not in them yet. */
  readonly #logProbSums: Float64Array;
  readonly #products: Float64Array;
  /** `[distributions, lambdas]` tokens of probability 0. */
  readonly #infiniteCounts: Int32Array;
  #tokens = 0;

  /**
   * Starts at nothing.
   *
   * @param distributions - how many p_kNN there are of each token
   * @param lambdas - weights of the neighbours
   */
  constructor(distributions: number, lambdas: readonly number[]) {
    const cells = distributions * lambdas.length;
    this.#lambdas = Float64Array.from(lambdas);
    this.#logProbSums = new Float64Array(cells);
    this.#products = new Float64Array(cells).fill(1);
    this.#infiniteCounts = new Int32Array(cells);
  }

  /**
   * Counts one token.
   *
   * @param knnProbs - `[distributions]` its p_kNN
   * @param lmProb - its p_LM
   */
  add(knnProbs: Float64Array, lmProb: number): void {
    const lambdas = this.#lambdas;
    const products = this.#products;
    this.#tokens++;
    let cell = 0;
    for (const knnProb of knnProbs) {
      for (let l = 0; l < lambdas.length; l++, cell++) {
        const product = products[cell] * ((1 - lambdas[l]) * lmProb + lambdas[l] * knnProb);
        if (product > smallestProduct) products[cell] = product;
        else this.#takeLogarithm(cell, (1 - lambdas[l]) * lmProb + lambdas[l] * knnProb);
      }
    }
  }

  /** A single probability may be smaller than the limit, or 0. */
  #takeLogarithm(cell: number, probability: number): void {
    if (probability === 0) {
      this.#infiniteCounts[cell]++;
      return;
    }
    this.#logProbSums[cell] += Math.log(this.#products[cell]) + Math.log(probability);
    this.#products[cell] = 1;
  }

  /** The loss of one distribution with one lambda, both counted from 0. */
  result(distribution: number, lambda: number): Evaluation {
    const cell = distribution * this.#lambdas.length + lambda;
    const infiniteCount = this.#infiniteCounts[cell];
    const logProbSum = this.#logProbSums[cell] + Math.log(this.#products[cell]);
    return evaluationOf({ tokenCount: this.#tokens - infiniteCount, infiniteCount, logProbSum });
  }
}
