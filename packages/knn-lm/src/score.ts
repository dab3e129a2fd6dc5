import type { LmBatch, LmBatchPlan } from '@knn-lm/binarizer';
import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import type { LanguageModel } from '@knn-lm/lm-runtime';
import type { RetrievedNeighbors } from './probability.js';
import type { Retriever } from './retriever.js';
import { scoredPositions, type ScoredSample } from './positions.js';
import { scoreUnits, type UnitRange } from './score-units.js';

/** Some samples with the model's log-probability of each token and, when searched, the neighbours of each token. */
export interface ScoredBatch {
  /** Number of this unit of work in the whole text, from 0; see {@link UnitRange}. */
  readonly unit: number;
  /** The samples, in evaluation order. */
  readonly samples: readonly ScoredSample[];
  /** `[tokens]` ids of the tokens that are predicted. */
  readonly tokens: Int32Array;
  /**
   * `[tokens]` where each token is in the text, counted from 0 over all its sentences, so that `dataset.readTokens` and
   * the sentence sizes give its surroundings. Of a text that is shortened on the way (`shortenMethod`) it counts the
   * shortened text.
   */
  readonly textPositions: Float64Array;
  /** `[tokens]` natural logarithm of p_LM. */
  readonly lmLogProbs: Float32Array;
  /** The neighbours of each token's hidden state, with their rows in the datastore; `undefined` without a search. */
  readonly neighbors: RetrievedNeighbors | undefined;
}

/** Settings of {@link scoreTokens}. */
export interface ScoreOptions extends TaskOptions {
  /** Looks up neighbours; without it only the model scores. */
  readonly retriever?: Retriever | undefined;
  /**
   * Queries searched together. Larger is faster (an exact index multiplies matrices) and takes more memory: 12 bytes
   * a query and neighbour.
   *
   * @defaultValue 1024
   */
  readonly queriesPerSearch?: number | undefined;
  /** Scores only these units of the text. @defaultValue all */
  readonly units?: UnitRange | undefined;
}

/** Queries that are searched together unless somebody asks for another number. */
export const defaultQueriesPerSearch = 1024;

interface ModelOutput {
  readonly unit: number;
  readonly samples: ScoredSample[];
  readonly tokens: Int32Array;
  readonly textPositions: Float64Array;
  readonly lmLogProbs: Float32Array;
  readonly queries: Float32Array;
}

/**
 * Scores every token of a text: the language model's log-probability and the neighbours of its hidden state.
 *
 * The index searches for the next group of queries while the caller works on the one that it got, and the model computes
 * the one after that; both run outside the main thread. Memory is that of three groups of `queriesPerSearch` queries, two of
 * them with their neighbours, whatever the length of the text.
 *
 * @param model - opened for `score`
 * @param plan - the batches of the text
 * @param options - the retriever, and how to watch and stop the work
 */
export async function* scoreTokens(
  model: LanguageModel,
  plan: LmBatchPlan,
  options: ScoreOptions = {},
): AsyncGenerator<ScoredBatch> {
  const { retriever, signal, onProgress, queriesPerSearch = defaultQueriesPerSearch, units } = options;
  const tokensPerUnit = retriever === undefined ? 1 : queriesPerSearch;
  const outputs = modelOutputs(model, plan, { tokensPerUnit, units, signal });
  const total = units?.tokens ?? plan.targetCount;
  let done = 0;
  const ahead = new Ahead(outputs, async ({ queries, ...scored }): Promise<ScoredBatch> => {
    const neighbors = await retriever?.retrieve(queries, signal);
    throwIfAborted(signal, 'evaluation stopped');
    return { ...scored, neighbors };
  });
  try {
    for (let scored = await ahead.next(); scored !== undefined; scored = await ahead.next()) {
      yield scored;
      done += scored.tokens.length;
      onProgress?.({ stage: 'evaluate', done, total, unit: 'tokens' });
    }
  } finally {
    // Model and index may still be at work when the consumer stops early: let them finish before the caller closes them.
    await ahead.settled();
  }
}

/**
 * Two stages of work that keep one step ahead of whoever takes the results: while a result is used, the second stage works
 * on the next, and the first on the one after it.
 */
class Ahead<Source, Result> {
  readonly #sources: AsyncGenerator<Source, undefined>;
  readonly #work: (source: Source) => Promise<Result>;
  #source: Promise<IteratorResult<Source, undefined>>;
  #result: Promise<Result | undefined>;

  constructor(sources: AsyncGenerator<Source, undefined>, work: (source: Source) => Promise<Result>) {
    this.#sources = sources;
    this.#work = work;
    this.#source = sources.next();
    this.#result = this.#begin();
  }

  /** The next result, `undefined` at the end. */
  async next(): Promise<Result | undefined> {
    const result = await this.#result;
    if (result !== undefined) this.#result = this.#begin();
    return result;
  }

  /** Waits for what is under way, whether it succeeds or not. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#result]);
    await Promise.allSettled([this.#source]);
  }

  #begin(): Promise<Result | undefined> {
    const result = this.#source.then((source) => {
      if (source.done === true) return undefined;
      this.#source = this.#sources.next();
      this.#source.catch(() => undefined); // Seen with the next result.
      return this.#work(source.value);
    });
    result.catch(() => undefined); // Seen when it is taken.
    return result;
  }
}

interface OutputOptions {
  readonly tokensPerUnit: number;
  readonly units: UnitRange | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Runs the model over the units that are wanted. */
async function* modelOutputs(
  model: LanguageModel,
  plan: LmBatchPlan,
  options: OutputOptions,
): AsyncGenerator<ModelOutput, undefined> {
  const { tokensPerUnit, units, signal } = options;
  const starts = sampleStarts(plan);
  for (const { unit, batches } of scoreUnits(plan, model.info.padIndex, tokensPerUnit)) {
    if (unit >= (units?.end ?? Infinity)) return undefined;
    if (unit < (units?.begin ?? 0)) continue;
    const outputs: ModelOutput[] = [];
    for (const rows of batches) {
      throwIfAborted(signal, 'evaluation stopped');
      outputs.push(await runModel(model, { unit, rows }, starts));
    }
    yield concatenate(outputs);
  }
  return undefined;
}

/** Where each sample is in the text; 12 bytes a sample. */
function sampleStarts(plan: LmBatchPlan): SampleStarts {
  const starts = new Float64Array(plan.sampleCount);
  const sizes = new Int32Array(plan.sampleCount);
  for (const { sampleId, start, size } of plan.samples()) {
    starts[sampleId] = start;
    sizes[sampleId] = size;
  }
  return { starts, sizes };
}

/** `[samples]` where each sample is in the text. */
interface SampleStarts {
  readonly starts: Float64Array;
  readonly sizes: Int32Array;
}

async function runModel(
  model: LanguageModel,
  { unit, rows: batch }: { readonly unit: number; readonly rows: LmBatch },
  sampleStarts: SampleStarts,
): Promise<ModelOutput> {
  const { positions, samples } = scoredPositions(batch, model.info.padIndex);
  const { rows, width, tokens, targets } = batch;
  const { keys, logProbs } = await model.run({ rows, width, tokens, targets, positions });
  if (logProbs === undefined || !(keys instanceof Float32Array)) {
    throw new TypeError("the model must be opened for 'score' with fp32 hidden states");
  }
  return {
    unit,
    samples,
    tokens: Int32Array.from(positions, (at) => targets[at]),
    textPositions: textPositionsOf(batch, positions, sampleStarts),
    lmLogProbs: logProbs,
    queries: keys,
  };
}

/** Where the tokens at some cells of a batch are in the text. */
function textPositionsOf(
  batch: LmBatch,
  positions: Int32Array,
  { starts, sizes }: SampleStarts,
): Float64Array {
  const { width, sampleIds, lengths } = batch;
  return Float64Array.from(positions, (at) => {
    const row = Math.floor(at / width);
    const sample = sampleIds[row];
    // A row ends with its sample; what stands before the sample is context, and `<s>` where it is added.
    const first = lengths[row] - sizes[sample];
    return starts[sample] + (at - row * width) - first;
  });
}

function concatenate(outputs: readonly ModelOutput[]): ModelOutput {
  if (outputs.length === 1) return outputs[0];
  const tokenCount = sum(outputs, (output) => output.tokens.length);
  const merged = {
    unit: outputs[0].unit,
    samples: [] as ScoredSample[],
    tokens: new Int32Array(tokenCount),
    textPositions: new Float64Array(tokenCount),
    lmLogProbs: new Float32Array(tokenCount),
    queries: new Float32Array(sum(outputs, (output) => output.queries.length)),
  };
  let token = 0;
  let element = 0;
  for (const output of outputs) {
    for (const { sampleId, begin, end } of output.samples) {
      merged.samples.push({ sampleId, begin: begin + token, end: end + token });
    }
    merged.tokens.set(output.tokens, token);
    merged.textPositions.set(output.textPositions, token);
    merged.lmLogProbs.set(output.lmLogProbs, token);
    merged.queries.set(output.queries, element);
    token += output.tokens.length;
    element += output.queries.length;
  }
  return merged;
}

function sum<T>(items: readonly T[], size: (item: T) => number): number {
  return items.reduce((total, item) => total + size(item), 0);
}
