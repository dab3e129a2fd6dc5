import { setImmediate } from 'node:timers/promises';
import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import type { AdaptiveLambda, DistancedProbs } from './adaptive-lambda.js';
import type { Evaluation } from './evaluate.js';
import { FloatColumns, type FloatColumnsOptions } from './float-columns.js';
import { LossGrid } from './loss-grid.js';
import { nearestDistance } from './mixture.js';
import type { ScoredBatch } from './score.js';
import { SoftmaxGrid } from './softmax-grid.js';
import { heldOutLoss, lossWith, type FittedResult, type Fits, type LambdaKind } from './tune-fits.js';

/** The axes of a grid of settings. */
export interface GridAxes {
  /** Weights of the neighbours. */
  readonly lambdas: readonly number[];
  /** Divisors of the squared distances. */
  readonly temperatures: readonly number[];
  /** Numbers of neighbours. */
  readonly ks: readonly number[];
}

/**
 * What {@link tune} keeps of a text. The losses of a grid need sums only. To fit lambdas, p_kNN of every token is kept for
 * each number of neighbours and temperature, with p_LM and the nearest distance, as float32 columns: 4 bytes for each
 * token and column, in memory up to a limit and on disk beyond it.
 */
export class TuneStatistics {
  readonly #axes: GridAxes;
  readonly #softmax: SoftmaxGrid;
  readonly #losses: LossGrid;
  /** p_kNN `[ks, temperatures]`, nearest distance `[ks]`, logarithm of p_LM. */
  readonly #columns: FloatColumns | undefined;

  /**
   * @param axes - the grid
   * @param columns - where the columns go; `undefined` when nothing is to be fitted
   */
  constructor(axes: GridAxes, columns: FloatColumnsOptions | undefined) {
    const { ks, temperatures, lambdas } = axes;
    this.#axes = axes;
    this.#softmax = new SoftmaxGrid(ks, temperatures);
    this.#losses = new LossGrid(ks.length * temperatures.length, lambdas);
    this.#columns =
      columns === undefined
        ? undefined
        : new FloatColumns(ks.length * temperatures.length + ks.length + 1, columns);
  }

  /** Bytes that went to disk. */
  get spilledBytes(): number {
    return this.#columns?.spilledBytes ?? 0;
  }

  /** Takes the tokens of one batch. */
  async add(batch: ScoredBatch): Promise<void> {
    const { tokens, lmLogProbs, neighbors } = batch;
    if (neighbors === undefined) throw new TypeError('a retriever gives neighbours');
    const { ks, temperatures } = this.#axes;
    const cells = ks.length * temperatures.length;
    const width = cells + ks.length + 1;
    const rows = new Float64Array(this.#columns === undefined ? width : tokens.length * width);
    for (let i = 0; i < tokens.length; i++) {
      const begin = this.#columns === undefined ? 0 : i * width;
      const knnProbs = rows.subarray(begin, begin + cells);
      this.#softmax.probabilities(neighbors, i, tokens[i], knnProbs);
      this.#losses.add(knnProbs, Math.exp(lmLogProbs[i]));
      if (this.#columns === undefined) continue;
      for (let k = 0; k < ks.length; k++) rows[begin + cells + k] = nearestDistance(neighbors, i, ks[k]);
      rows[begin + width - 1] = lmLogProbs[i];
    }
    await this.#columns?.append(rows);
  }

  /** The loss of every combination: k slowest, then temperature, then lambda. */
  results(): (Evaluation & { k: number; temperature: number; lambda: number })[] {
    const { ks, temperatures, lambdas } = this.#axes;
    return ks.flatMap((k, kAt) =>
      temperatures.flatMap((temperature, t) =>
        lambdas.map((lambda, l) => ({
          k,
          temperature,
          lambda,
          ...this.#losses.result(kAt * temperatures.length + t, l),
        })),
      ),
    );
  }

  /**
   * Fits a lambda for every number of neighbours and temperature.
   *
   * @param kind - how
   * @param task - how to watch and stop the work
   */
  async fit<Lambda extends number | AdaptiveLambda>(
    kind: LambdaKind<Lambda>,
    { signal, onProgress }: TaskOptions = {},
  ): Promise<Fits<Lambda>> {
    const { ks, temperatures } = this.#axes;
    const total = ks.length * temperatures.length;
    const results: FittedResult<Lambda>[] = [];
    for (const [kAt, k] of ks.entries()) {
      for (const [t, temperature] of temperatures.entries()) {
        const tokens = await this.#tokens(kAt, t);
        // So that Ctrl-C is heard.
        await setImmediate();
        throwIfAborted(signal, 'tuning stopped');
        onProgress?.({ stage: 'fit', done: results.length, total, unit: 'lambdas' });
        const lambda = kind.fit(tokens);
        results.push({ k, temperature, lambda, ...lossWith(tokens, kind.function(lambda)).result() });
      }
    }
    const best = lowestLoss(results);
    const tokens = await this.#tokens(ks.indexOf(best.k), temperatures.indexOf(best.temperature));
    return { best, results, heldOut: heldOutLoss(tokens, kind) };
  }

  async #tokens(k: number, temperature: number): Promise<DistancedProbs> {
    const columns = this.#columns as FloatColumns;
    const { ks, temperatures } = this.#axes;
    const cells = ks.length * temperatures.length;
    return {
      knnProbs: await columns.read(k * temperatures.length + temperature),
      nearest: await columns.read(cells + k),
      lmProbs: Float64Array.from(await columns.read(columns.columns - 1), Math.exp),
    };
  }

  /** Frees what is on disk. */
  async close(): Promise<void> {
    await this.#columns?.close();
  }
}

/** The result with the lowest loss; more tokens of probability 0, which are left out of it, are worse than any loss. */
export function lowestLoss<Result extends Evaluation>(results: readonly Result[]): Result {
  return results.reduce((best, result) =>
    result.infiniteCount < best.infiniteCount ||
    (result.infiniteCount === best.infiniteCount && result.lossBase2 < best.lossBase2)
      ? result
      : best,
  );
}
