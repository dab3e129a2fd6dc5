import { missingDistance, type ScoredBatch } from '@knn-lm/knn-lm';
import { findDocuments, type DocumentMap, type DocumentText, type Words } from './document-map.js';
import { ReportError } from './errors.js';
import { InterpolationGrid } from './interpolation-grid.js';
import { PassagePicker, type PassageOptions } from './passage-picker.js';
import { PassageWriter, type ContextOf } from './passage-writer.js';
import type { IndexFacts, ReportData, RunFacts } from './report-data.js';
import { TokenStatistics } from './token-statistics.js';

/** What a {@link ReportCollector} is told about the run. */
export interface CollectorOptions {
  /** Dictionary of the text. */
  readonly words: Words;
  /** The evaluated text. */
  readonly text: DocumentText;
  /** Neighbours of each token. */
  readonly k: number;
  /** Weight of the neighbours; left out where it is different for each token. */
  readonly lambda?: number | undefined;
  /** Divisor of the squared distances. */
  readonly temperature: number;
  /** Lambdas to try. @defaultValue 0.05 to 0.95 */
  readonly lambdas?: readonly number[] | undefined;
  /** Temperatures are tried at the run's own, and at so many halvings and doublings of it. @defaultValue 5 */
  readonly temperatureOctaves?: number | undefined;
  /** How much text is shown. @defaultValue 3 passages of each kind, 128 tokens each, 8 neighbours a token */
  readonly passages?: Partial<PassageOptions> | undefined;
}

/** What is added at the end. */
export interface ReportEnding {
  /** The run. */
  readonly run: RunFacts;
  /** The index. */
  readonly index?: IndexFacts | undefined;
  /** Finds the surroundings of a row in the datastore's text. */
  readonly contextOf?: ContextOf | undefined;
}

/** One batch of an evaluation; those of `evaluate` of `@knn-lm/knn-lm` fit. */
export type ReportBatch = Pick<
  ScoredBatch,
  'samples' | 'tokens' | 'textPositions' | 'lmLogProbs' | 'neighbors'
>;

const passageDefaults: PassageOptions = { tokens: 128, perKind: 3, neighbors: 8, predictions: 5, seed: 1 };
const defaultLambdas = Array.from({ length: 19 }, (_, i) => (i + 1) / 20);

/**
 * Gathers the statistics of a report while an evaluation runs.
 *
 * Memory does not grow with the text: sums for each word of the dictionary (32 bytes), for at most 4096 documents, for
 * each combination of settings, one passage with all its neighbours (16 bytes a token and neighbour), and the chosen
 * passages with a few neighbours each.
 *
 * @example
 * ```ts
 * const collector = new ReportCollector({ words: dictionary, text: dataset, k: 1024, lambda: 0.25, temperature: 1 });
 * await evaluate(model, plan, { retriever, lambda: 0.25, temperature: 1, onBatch: collector.add });
 * await writeFileAtomic('report.html', renderReport(collector.finish({ run })));
 * ```
 */
export class ReportCollector {
  readonly #options: CollectorOptions;
  readonly #documents: DocumentMap;
  readonly #statistics: TokenStatistics;
  readonly #grid: InterpolationGrid;
  readonly #picker: PassagePicker;
  #excluded = 0;

  /**
   * Reads the text once to find its documents.
   *
   * @param options - text and settings
   * @throws {@link ReportError} `REPORT_SETTING` for settings out of range
   */
  constructor(options: CollectorOptions) {
    const { words, text, k, lambda, temperature, temperatureOctaves = 5, lambdas = defaultLambdas } = options;
    checkOptions(options);
    this.#options = options;
    this.#documents = findDocuments(text, words);
    this.#statistics = new TokenStatistics(words);
    this.#grid = new InterpolationGrid({ k, temperature, octaves: temperatureOctaves, lambdas, lambda });
    this.#picker = new PassagePicker({ ...passageDefaults, ...options.passages });
  }

  /**
   * Takes one batch; its arrays are only read during the call.
   *
   * @param batch - tokens, their places in the text, the model's log-probabilities, and the neighbours
   * @param logProbs - `[tokens]` natural log-probabilities of the mixture
   * @param knnProbs - `[tokens]` p_kNN
   * @throws {@link ReportError} `REPORT_WITHOUT_NEIGHBORS` where no neighbours were searched
   */
  readonly add = (batch: ReportBatch, logProbs: Float64Array, knnProbs: Float64Array | undefined): void => {
    if (batch.neighbors === undefined || knnProbs === undefined) throw withoutNeighbors();
    for (const { begin, end } of batch.samples) {
      for (let i = begin; i < end; i++) this.#addToken(batch, i, i - begin, logProbs[i], knnProbs[i]);
    }
  };

  /**
   * Puts the report together and looks up the words of its passages.
   *
   * @param ending - what was run, the index, and how to find the neighbours' contexts
   * @throws {@link ReportError} `REPORT_EMPTY` where no token was counted
   */
  finish(ending: ReportEnding): ReportData {
    const { words, text, k, lambda, temperature } = this.#options;
    if (this.#statistics.tokens === 0) {
      throw new ReportError('REPORT_EMPTY', 'no token was counted, so that there is nothing to report', {
        hint: 'Check that the text is not empty, and that the model gives its tokens a probability above 0.',
      });
    }
    const writer = new PassageWriter({
      words,
      text,
      documents: this.#documents,
      contextOf: ending.contextOf,
    });
    return {
      version: 1,
      ...this.#statistics.result(this.#documents),
      excluded: this.#excluded,
      settings: { k, lambda: lambda ?? null, temperature },
      grid: this.#grid.result(),
      passages: writer.write(this.#picker.finish()),
      index: ending.index ?? { statistics: undefined, note: undefined },
      run: ending.run,
    };
  }

  #addToken(batch: ReportBatch, i: number, blockPosition: number, logProb: number, knnProb: number): void {
    const neighbors = batch.neighbors as NonNullable<ReportBatch['neighbors']>;
    const token = batch.tokens[i];
    const lmLogProb = batch.lmLogProbs[i];
    if (!Number.isFinite(lmLogProb) || !Number.isFinite(logProb)) {
      this.#excluded++;
      return;
    }
    const { k, temperature } = this.#options;
    const begin = i * neighbors.k;
    const distances = neighbors.distances.subarray(begin, begin + k);
    const position = batch.textPositions[i];
    const document = lastAtMost(this.#documents.starts, position);
    const documentPosition = position - this.#documents.starts[document] + 1;
    const loss = { lmBits: -lmLogProb / Math.LN2, mixedBits: -logProb / Math.LN2 };
    this.#statistics.add(
      { token, blockPosition, document, documentPosition, knnProb, ...extremes(distances) },
      loss,
    );
    this.#grid.add(neighbors, i, token, lmLogProb);
    const own = {
      k,
      ids: neighbors.ids.subarray(begin, begin + k),
      distances,
      values: neighbors.values.subarray(begin, begin + k),
      weights: neighbors.weights?.subarray(begin, begin + k),
    };
    this.#picker.add(
      { token, position, lmLogProb, logProb, knnProb, temperature, neighbors: own },
      loss.lmBits - loss.mixedBits,
      document,
    );
  }
}

/** Smallest and largest distance of the neighbours that were found. */
function extremes(distances: Float32Array): { nearest: number; farthest: number } {
  let nearest = Infinity;
  let farthest = -Infinity;
  for (const distance of distances) {
    if (!(distance < missingDistance)) continue;
    if (distance < nearest) nearest = distance;
    if (distance > farthest) farthest = distance;
  }
  return { nearest, farthest };
}

/** Index of the last start at or before a position; the first start is 0. */
function lastAtMost(starts: Float64Array, position: number): number {
  let low = 0;
  let high = starts.length;
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (starts[middle] <= position) low = middle;
    else high = middle;
  }
  return low;
}

function checkOptions({ k, lambda, temperature, lambdas, temperatureOctaves = 5 }: CollectorOptions): void {
  const problems: [wrong: boolean, text: string][] = [
    [!(Number.isInteger(k) && k >= 1), `k is ${k}; a whole number from 1 is expected`],
    [!(temperature > 0 && temperature < Infinity), `the temperature is ${temperature}; it must be above 0`],
    [
      lambda !== undefined && !(lambda >= 0 && lambda <= 1),
      `lambda is ${lambda}; it must lie between 0 and 1`,
    ],
    [lambdas?.some((value) => !(value > 0 && value < 1)) ?? false, 'a lambda to try is not between 0 and 1'],
    [lambdas?.length === 0, 'there is no lambda to try'],
    [
      !(Number.isInteger(temperatureOctaves) && temperatureOctaves >= 0 && temperatureOctaves <= 10),
      `temperatureOctaves is ${temperatureOctaves}; 0 to 10 is expected`,
    ],
  ];
  const found = problems.find(([wrong]) => wrong);
  if (found !== undefined) throw new ReportError('REPORT_SETTING', found[1]);
}

function withoutNeighbors(): ReportError {
  return new ReportError('REPORT_WITHOUT_NEIGHBORS', 'the evaluation looks no neighbours up', {
    hint: 'Evaluate with a retriever (--score-knn-lm): the report is about what the neighbours do.',
  });
}
