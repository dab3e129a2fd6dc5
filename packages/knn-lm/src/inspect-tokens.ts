import type { LmBatchPlan } from '@knn-lm/binarizer';
import type { LanguageModel } from '@knn-lm/lm-runtime';
import { evaluate, type EvaluateOptions, type Evaluation } from './evaluate.js';
import { KnnError } from './errors.js';
import type { Mixture } from './mixture.js';
import type { ScoredBatch } from './score.js';
import { planTokens } from './sub-plan.js';
import type { TokenRange } from './text-places.js';
import { TokenRecorder, type TokenRecord, type TokenRecorderOptions } from './token-record.js';

/** The tokens of a range of the text. */
export interface RangeSelection extends TokenRange {
  /** Says what kind of selection it is. */
  readonly kind: 'range';
}

/** The tokens that the neighbours change most. */
export interface ExtremeSelection {
  /** Whether they help most (`gain`) or hurt most (`loss`). */
  readonly kind: 'gain' | 'loss';
  /** How many tokens. */
  readonly count: number;
}

/** Which tokens of a text are inspected. */
export type TokenSelection = RangeSelection | ExtremeSelection;

/** Settings of {@link inspectTokens}. */
export interface InspectOptions
  extends Omit<EvaluateOptions, 'onBatch' | 'lambda' | 'temperature' | 'k'>, TokenRecorderOptions {}

/** What {@link inspectTokens} found. */
export interface Inspection {
  /** The tokens: of a range in the order of the text, else the most striking first. */
  readonly records: readonly TokenRecord[];
  /** The perplexity of the tokens that were scored: all blocks that have one of the range, or the whole text. */
  readonly evaluation: Evaluation;
}

/**
 * Says of some tokens of a text what the model thought, what was retrieved and from where. For a range only the blocks
 * that have a token of it are scored, which takes seconds; for the largest gains or losses all are.
 *
 * @param model - opened for `score`
 * @param plan - the batches of the text
 * @param selection - which tokens
 * @param options - retriever, settings, dictionary, texts
 * @throws {@link KnnError} `NOTHING_SELECTED` when no token of the selection is scored
 */
export async function inspectTokens(
  model: LanguageModel,
  plan: LmBatchPlan,
  selection: TokenSelection,
  options: InspectOptions,
): Promise<Inspection> {
  const { mixing, signal, onProgress, logger, queriesPerSearch, retriever } = options;
  const recorder = new TokenRecorder(options);
  const isRange = selection.kind === 'range';
  const collector = isRange
    ? new RangeCollector(selection.start, selection.end, recorder)
    : new ExtremeCollector(selection.kind === 'gain' ? 1 : -1, selection.count, recorder);
  const part = isRange
    ? planTokens(plan, (start, end) => start < selection.end && end > selection.start)
    : plan;
  if (part.targetCount === 0) throw nothingSelected();
  const surroundings = { signal, onProgress, logger, queriesPerSearch, retriever };
  const evaluation = await evaluate(model, part, {
    ...surroundings,
    ...mixing,
    onBatch: (batch, logProbs, knnProbs) => collector.add(batch, { logProbs, knnProbs }),
  });
  const records = collector.records();
  if (records.length === 0) throw nothingSelected();
  return { records, evaluation };
}

function nothingSelected(): KnnError {
  return new KnnError('NOTHING_SELECTED', 'no token that was asked for is scored', {
    hint: 'Samples that are too long for the model are left out, and with shards those of other shards.',
  });
}

/** The tokens of a range of the text. */
class RangeCollector {
  readonly #start: number;
  readonly #end: number;
  readonly #recorder: TokenRecorder;
  readonly #records: TokenRecord[] = [];

  constructor(start: number, end: number, recorder: TokenRecorder) {
    this.#start = start;
    this.#end = end;
    this.#recorder = recorder;
  }

  add(batch: ScoredBatch, mixture: Mixture): void {
    for (const [i, position] of batch.textPositions.entries()) {
      if (position < this.#start || position >= this.#end) continue;
      this.#records.push(this.#recorder.record(batch, mixture, i));
    }
  }

  records(): TokenRecord[] {
    return this.#records.sort((a, b) => a.position - b.position);
  }
}

/** The tokens of largest gain, or loss. Only those that are among the best so far are looked at closely. */
class ExtremeCollector {
  readonly #sign: 1 | -1;
  readonly #count: number;
  readonly #recorder: TokenRecorder;
  /** The most striking first. */
  #best: TokenRecord[] = [];

  constructor(sign: 1 | -1, count: number, recorder: TokenRecorder) {
    this.#sign = sign;
    this.#count = count;
    this.#recorder = recorder;
  }

  add(batch: ScoredBatch, mixture: Mixture): void {
    for (let i = 0; i < batch.tokens.length; i++) {
      const score = this.#sign * (mixture.logProbs[i] - batch.lmLogProbs[i]);
      const least = this.#best[this.#count - 1] as TokenRecord | undefined;
      if (!(score > (least === undefined ? 0 : this.#sign * least.gain * Math.LN2))) continue;
      this.#best.push(this.#recorder.record(batch, mixture, i));
      this.#best.sort((a, b) => this.#sign * (b.gain - a.gain));
      this.#best.length = Math.min(this.#best.length, this.#count);
    }
  }

  records(): TokenRecord[] {
    return this.#best;
  }
}
