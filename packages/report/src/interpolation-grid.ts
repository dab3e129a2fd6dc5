import { LossGrid, SoftmaxGrid, type Neighbors } from '@knn-lm/knn-lm';
import type { GridPoint, SettingsGrid } from './report-data.js';

/** The combinations that {@link InterpolationGrid} computes. */
export interface GridOptions {
  /** Neighbours that count in the run; powers of two up to it are tried. */
  readonly k: number;
  /** The run's own temperature. */
  readonly temperature: number;
  /** Halvings and doublings of it that are tried; they share their exponentials. */
  readonly octaves: number;
  /** Lambdas to try, each above 0 and below 1. */
  readonly lambdas: readonly number[];
  /** The run's own lambda; one that is not among the others is tried too. */
  readonly lambda: number | undefined;
}

/**
 * The perplexity for every combination of k, temperature and lambda, exactly, from the distances and values of one
 * search, while they stream by. Only sums are kept.
 */
export class InterpolationGrid {
  readonly #ks: readonly number[];
  readonly #temperatures: readonly number[];
  readonly #lambdas: readonly number[];
  readonly #chosen: Pick<GridOptions, 'temperature' | 'lambda'>;
  readonly #softmax: SoftmaxGrid;
  readonly #losses: LossGrid;
  /** `[ks, temperatures]` p_kNN of one token. */
  readonly #knnProbs: Float64Array;

  /** @param options - which combinations */
  constructor(options: GridOptions) {
    const { k, temperature, octaves, lambdas, lambda } = options;
    this.#ks = upTo(k);
    this.#temperatures = Array.from({ length: 2 * octaves + 1 }, (_, i) => temperature * 2 ** (i - octaves));
    const own = lambda !== undefined && lambda > 0 && lambda < 1 ? [lambda] : [];
    this.#lambdas = [...new Set([...lambdas, ...own])].sort((a, b) => a - b);
    this.#chosen = { temperature, lambda };
    this.#softmax = new SoftmaxGrid(this.#ks, this.#temperatures);
    this.#losses = new LossGrid(this.#ks.length * this.#temperatures.length, this.#lambdas);
    this.#knnProbs = new Float64Array(this.#ks.length * this.#temperatures.length);
  }

  /**
   * Adds one token.
   *
   * @param neighbors - neighbours of a batch
   * @param query - row of the token
   * @param token - its id
   * @param lmLogProb - natural logarithm of the model's probability
   */
  add(neighbors: Neighbors, query: number, token: number, lmLogProb: number): void {
    this.#softmax.probabilities(neighbors, query, token, this.#knnProbs);
    this.#losses.add(this.#knnProbs, Math.exp(lmLogProb));
  }

  /** The perplexities so far. */
  result(): SettingsGrid {
    const { temperature: chosen, lambda } = this.#chosen;
    const ks = this.#ks;
    const temperatures = this.#temperatures;
    const last = ks.length - 1;
    const points = (step: number) => temperatures.flatMap((_, t) => this.#points(step, t));
    const bestByK = ks.map((_, step) => lowest(points(step)));
    return {
      ks,
      temperatures,
      lambdas: this.#lambdas,
      surface: temperatures.map((_, t) => this.#points(last, t).map(({ perplexity }) => perplexity)),
      best: bestByK[last],
      chosenByK: ks.flatMap((_, step) =>
        points(step).filter((point) => point.temperature === chosen && point.lambda === lambda),
      ),
      bestByK,
    };
  }

  /** All lambdas of one k and temperature. */
  #points(step: number, t: number): GridPoint[] {
    return this.#lambdas.map((lambda, l) => {
      const { perplexity } = this.#losses.result(step * this.#temperatures.length + t, l);
      const k = this.#ks[step];
      return { k, temperature: this.#temperatures[t], lambda, perplexity: finiteOrNull(perplexity) };
    });
  }
}

function finiteOrNull(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** Powers of two below k, and k. */
function upTo(k: number): number[] {
  const ks = [];
  for (let power = 1; power < k; power *= 2) ks.push(power);
  return [...ks, k];
}

function lowest(points: readonly GridPoint[]): GridPoint {
  return points.reduce((best, point) =>
    (point.perplexity ?? Infinity) < (best.perplexity ?? Infinity) ? point : best,
  );
}
