import type { LmBatch, LmBatchPlan, SamplePlace } from '@knn-lm/binarizer';

/**
 * The part of a plan that scores some tokens of the text: only the blocks that have them, each with its context and in
 * the width of its batch, so that it is scored as in a run over all.
 *
 * @param plan - the batches of the text
 * @param wants - whether a token of the text, by its number, is wanted in any range `[start, end)`
 */
export function planTokens(plan: LmBatchPlan, wants: (start: number, end: number) => boolean): LmBatchPlan {
  const places: SamplePlace[] = [];
  const samplesOf = new Map<number, Set<number>>();
  for (const place of plan.samples()) {
    if (!wants(place.start, place.start + place.size)) continue;
    const samples = samplesOf.get(place.batch) ?? new Set();
    samplesOf.set(place.batch, samples.add(place.sampleId));
    places.push(place);
  }
  return new SubPlan(plan, samplesOf, places);
}

class SubPlan implements LmBatchPlan {
  readonly sampleCount: number;
  readonly batchCount: number;
  readonly shardSampleCount: number;
  readonly targetCount: number;
  readonly skippedSampleIds: number[];
  readonly blockSize: number;
  readonly #plan: LmBatchPlan;
  readonly #batches: readonly (readonly [batch: number, samples: ReadonlySet<number>])[];
  readonly #places: readonly SamplePlace[];

  constructor(
    plan: LmBatchPlan,
    samplesOf: ReadonlyMap<number, ReadonlySet<number>>,
    places: readonly SamplePlace[],
  ) {
    this.#plan = plan;
    this.#batches = [...samplesOf];
    const numbers = new Map([...samplesOf.keys()].map((batch, i) => [batch, i]));
    this.#places = places.map((place) => ({ ...place, batch: numbers.get(place.batch) as number }));
    this.sampleCount = plan.sampleCount;
    this.batchCount = this.#batches.length;
    this.shardSampleCount = places.length;
    this.targetCount = places.reduce((sum, { size }) => sum + size, 0);
    this.skippedSampleIds = plan.skippedSampleIds;
    this.blockSize = plan.blockSize;
  }

  batch(i: number): LmBatch {
    const [batch, samples] = this.#batches[i];
    return someRows(this.#plan.batch(batch), samples);
  }

  samples(): IterableIterator<SamplePlace> {
    return this.#places.values();
  }

  *[Symbol.iterator](): Iterator<LmBatch> {
    for (let i = 0; i < this.batchCount; i++) yield this.batch(i);
  }
}

function someRows(batch: LmBatch, samples: ReadonlySet<number>): LmBatch {
  const { width } = batch;
  const rows = Array.from(batch.sampleIds.keys()).filter((row) => samples.has(batch.sampleIds[row]));
  const cells = (from: Int32Array) => {
    const to = new Int32Array(rows.length * width);
    for (const [i, row] of rows.entries()) to.set(from.subarray(row * width, (row + 1) * width), i * width);
    return to;
  };
  const each = (from: Int32Array) => Int32Array.from(rows, (row) => from[row]);
  return {
    rows: rows.length,
    width,
    sampleIds: each(batch.sampleIds),
    tokens: cells(batch.tokens),
    targets: cells(batch.targets),
    starts: each(batch.starts),
    lengths: each(batch.lengths),
  };
}
