import type { LmBatch, LmBatchPlan, SamplePlace } from '@knn-lm/binarizer';

/**
 * The batches of one shard of a datastore, such that the shards one after the other give the entries of a single run in
 * its order.
 *
 * A single run puts the short last block of a text at the end of the datastore, although fairseq evaluates it first when
 * there is no context window. So that block moves from the shard that has it to the last one, in the same batch (the
 * same padding, hence the same bits), with nothing else of that batch scored.
 *
 * @param shard - the shard's own batches
 * @param whole - the batches of all shards
 * @param pad - id of the padding symbol
 */
export function planShard(
  shard: LmBatchPlan,
  whole: LmBatchPlan,
  place: { readonly numShards: number; readonly shardId: number; readonly pad: number },
): LmBatchPlan {
  const lastSample = whole.sampleCount - 1;
  const { numShards, shardId, pad } = place;
  const first = whole.batch(0);
  const row = first.sampleIds.indexOf(lastSample);
  const isMoved =
    whole.batchCount > 1 && row >= 0 && first.lengths[row] - first.starts[row] < whole.blockSize;
  if (!isMoved || numShards === 1) return shard;
  if (shardId === numShards - 1) return new ChangedPlan(shard, undefined, scoringOnly(first, row, pad));
  return shardId === 0 ? new ChangedPlan(shard, scoringAllBut(first, row, pad), undefined) : shard;
}

/** A plan whose first batch is replaced, or that has one more. */
class ChangedPlan implements LmBatchPlan {
  readonly sampleCount: number;
  readonly batchCount: number;
  readonly shardSampleCount: number;
  readonly targetCount: number;
  readonly skippedSampleIds: number[];
  readonly blockSize: number;
  readonly #plan: LmBatchPlan;
  readonly #first: LmBatch | undefined;
  readonly #added: LmBatch | undefined;

  constructor(plan: LmBatchPlan, first: LmBatch | undefined, added: LmBatch | undefined) {
    this.sampleCount = plan.sampleCount;
    this.batchCount = plan.batchCount + (added === undefined ? 0 : 1);
    this.shardSampleCount = plan.shardSampleCount;
    this.targetCount = plan.targetCount;
    this.skippedSampleIds = plan.skippedSampleIds;
    this.blockSize = plan.blockSize;
    this.#plan = plan;
    this.#first = first;
    this.#added = added;
  }

  batch(i: number): LmBatch {
    if (i === 0 && this.#first !== undefined) return this.#first;
    return i === this.#plan.batchCount && this.#added !== undefined ? this.#added : this.#plan.batch(i);
  }

  samples(): IterableIterator<SamplePlace> {
    return this.#plan.samples();
  }

  *[Symbol.iterator](): Iterator<LmBatch> {
    for (let i = 0; i < this.batchCount; i++) yield this.batch(i);
  }
}

function scoringOnly(batch: LmBatch, row: number, pad: number): LmBatch {
  const targets = batch.targets.slice().fill(pad);
  const [start, end] = [row * batch.width, (row + 1) * batch.width];
  targets.set(batch.targets.subarray(start, end), start);
  return { ...batch, targets };
}

function scoringAllBut(batch: LmBatch, row: number, pad: number): LmBatch {
  const targets = batch.targets.slice().fill(pad, row * batch.width, (row + 1) * batch.width);
  return { ...batch, targets };
}
