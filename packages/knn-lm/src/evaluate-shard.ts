import type { LmBatchPlan } from '@knn-lm/binarizer';
import type { LanguageModel } from '@knn-lm/lm-runtime';
import { checkMixing, type EvaluateOptions } from './evaluate.js';
import { mixBatch } from './mixture.js';
import { KnnError } from './errors.js';
import { encodeNeighborRecord } from './neighbor-record.js';
import { PartialFileWriter, type PartialIdentity } from './partial-file.js';
import { defaultQueriesPerSearch, scoreTokens, type ScoredBatch } from './score.js';
import { divideUnits, type UnitRange } from './score-units.js';

/** One shard of an index. */
export interface IndexShard {
  /** Which one, from 0. */
  readonly id: number;
  /** How many there are. */
  readonly of: number;
}

/** Settings of {@link evaluateShard}. */
export interface EvaluateShardOptions extends Omit<EvaluateOptions, 'onBatch' | 'units'> {
  /** Into how many pieces the text is cut. */
  readonly numShards: number;
  /** Which piece this is, from 0. */
  readonly shardId: number;
  /** What all shards of one evaluation have in common: fingerprints and settings. */
  readonly identity: PartialIdentity;
  /**
   * Turns the log-probabilities of a batch into what is added up, such as those of whole words; what is 0 may be left
   * out. @defaultValue every token's log-probability
   */
  readonly scores?: ((batch: ScoredBatch, logProbs: Float64Array) => Float64Array) | undefined;
  /**
   * The retriever searches one shard of the index (`indexShard`): its neighbours are kept, and merged with those of the
   * other shards when all are put together. @defaultValue the index is searched whole
   */
  readonly indexShard?: IndexShard | undefined;
}

/** What {@link evaluateShard} did. */
export interface ShardOutcome {
  /** The shard's part of the text. */
  readonly units: UnitRange;
  /** Units scored by this call; the others were there from an interrupted one. */
  readonly unitsScored: number;
}

/**
 * Scores one shard of a text and writes what it adds to the loss. {@link reduceEvaluation} puts the shards together, to
 * the very sum of one process. What is finished stays: a call that was interrupted goes on, and a finished file is kept.
 *
 * @param model - opened for `score`
 * @param plan - the batches of the whole text, not of a shard
 * @param path - the file; `PATH.partial` while it grows
 * @param options - which shard, and how to evaluate
 * @throws {@link KnnError} `PARTIAL_MISMATCH` when the file belongs to another evaluation
 */
export async function evaluateShard(
  model: LanguageModel,
  plan: LmBatchPlan,
  path: string,
  options: EvaluateShardOptions,
): Promise<ShardOutcome> {
  const { retriever, lambda = 0.25, temperature = 1, k, numShards, shardId, indexShard } = options;
  checkMixing({ lambda, temperature, k }, retriever?.k);
  if (indexShard !== undefined && typeof lambda !== 'number') throw lambdaIsFunction();
  const queriesPerSearch = options.queriesPerSearch ?? defaultQueriesPerSearch;
  const tokensPerUnit = retriever === undefined ? 1 : queriesPerSearch;
  const units = divideUnits(plan, model.info.padIndex, { tokensPerUnit, numShards })[shardId];
  const writer = await PartialFileWriter.open(path, {
    identity: { ...options.identity, ...(typeof lambda === 'number' ? { lambda } : {}), temperature },
    content: indexShard === undefined ? 'scores' : 'neighbors',
    numShards,
    shardId,
    indexShards: indexShard?.of ?? 1,
    indexShard: indexShard?.id ?? 0,
    begin: units.begin,
    end: units.end,
  });
  if (writer === undefined) {
    options.logger?.info(`${path} is finished already`);
    return { units, unitsScored: 0 };
  }
  const begin = writer.nextUnit;
  if (begin > units.begin) options.logger?.info(`${path}: going on with unit ${begin} of ${units.end}`);
  let lastMs = performance.now();
  try {
    for await (const batch of scoreTokens(model, plan, { ...options, units: { ...units, begin } })) {
      const bytes = indexShard === undefined ? scoresOf(batch, options) : neighborsOf(batch);
      const nowMs = performance.now();
      await writer.append(bytes, nowMs - lastMs);
      lastMs = nowMs;
    }
    await writer.finish();
  } finally {
    await writer.close();
  }
  return { units, unitsScored: units.end - begin };
}

function scoresOf(batch: ScoredBatch, options: EvaluateShardOptions): Uint8Array {
  const { lambda = 0.25, temperature = 1, k, scores } = options;
  const { logProbs } = mixBatch(batch, { lambda, temperature, k });
  const { buffer, byteOffset, byteLength } = scores?.(batch, logProbs) ?? logProbs;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function neighborsOf({ tokens, lmLogProbs, neighbors }: ScoredBatch): Uint8Array {
  const { indexDistances } = neighbors ?? {};
  if (neighbors === undefined || indexDistances === undefined) {
    throw new TypeError('the retriever of a shard of an index must be opened with indexShard');
  }
  return encodeNeighborRecord({ tokens, lmLogProbs, lists: { ...neighbors, indexDistances } });
}

/** The mixture is made when the shards are put together, from what the files say. */
function lambdaIsFunction(): KnnError {
  return new KnnError(
    'LAMBDA_RANGE',
    'a lambda that depends on the distance cannot be used with shards of an index',
    {
      hint: 'Merge the shards of the index first, or give one lambda.',
    },
  );
}
