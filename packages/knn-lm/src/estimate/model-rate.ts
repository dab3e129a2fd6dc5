import type { LmBatch, LmBatchPlan } from '@knn-lm/binarizer';
import { throwIfAborted, type TaskOptions } from '@knn-lm/common';
import type { LanguageModel } from '@knn-lm/lm-runtime';
import { KnnError } from '../errors.js';
import { scoredPositions } from '../positions.js';
import { rowGroups } from '../row-groups.js';

/** How long a model is measured. */
export interface ModelRateOptions extends TaskOptions {
  /** Measuring ends after so many seconds, but not before two groups of rows. @defaultValue 4 */
  readonly seconds?: number | undefined;
}

/** What running a model over a text costs. */
export interface ModelRate {
  /** Seconds for the whole text. */
  readonly seconds: number;
  /** Input tokens of the whole text, context and padding included: what the model computes. */
  readonly cells: number;
  /** Input tokens that were measured. */
  readonly measuredCells: number;
  /** Seconds that they took. */
  readonly measuredSeconds: number;
}

/** Places of the text that are measured, in turn. */
const places = 16;

/**
 * Estimates how long a model takes for a text, from some of its batches, taken all over it. One is run before, for what is
 * slower the first time.
 *
 * @param model - open for what is planned: `keys` or `score`
 * @param plan - the batches of the text
 * @param options - how long to measure
 * @throws {@link KnnError} `NOTHING_TO_SCORE` for a text without batches; `CancelledError`
 */
export async function measureModelRate(
  model: LanguageModel,
  plan: LmBatchPlan,
  { seconds = 4, signal, onProgress }: ModelRateOptions = {},
): Promise<ModelRate> {
  if (plan.batchCount === 0) {
    throw new KnnError('NOTHING_TO_SCORE', 'the text has no batch that could be measured', {
      hint: 'Check the split, and that its blocks are not longer than the model takes.',
    });
  }
  let warm = false;
  let measuredCells = 0;
  let measuredSeconds = 0;
  let groups = 0;
  for (const batch of spreadBatches(plan)) {
    for (const group of rowGroups(batch)) {
      throwIfAborted(signal, 'measuring stopped');
      const startMs = performance.now();
      await runGroup(model, group);
      const took = (performance.now() - startMs) / 1000;
      if (!warm) {
        warm = true;
        continue;
      }
      measuredCells += group.rows * group.width;
      measuredSeconds += took;
      groups++;
      onProgress?.({ stage: 'measure the model', done: groups, total: undefined, unit: 'batches' });
      if (groups >= 2 && measuredSeconds >= seconds) break;
    }
    if (groups >= 2 && measuredSeconds >= seconds) break;
  }
  const cells = countCells(plan);
  return { seconds: (cells * measuredSeconds) / measuredCells, cells, measuredCells, measuredSeconds };
}

/** Batches from all parts of the text, again and again: a text of one batch is measured, too. */
function* spreadBatches(plan: LmBatchPlan): Generator<LmBatch> {
  for (;;) {
    for (let i = 0; i < places; i++) yield plan.batch(Math.floor((plan.batchCount * (i + 0.5)) / places));
  }
}

async function runGroup(model: LanguageModel, group: LmBatch): Promise<void> {
  const { rows, width, tokens, targets } = group;
  const { positions } = scoredPositions(group, model.info.padIndex);
  await model.run({ rows, width, tokens, targets, positions });
}

function countCells(plan: LmBatchPlan): number {
  let cells = 0;
  for (const { rows, width } of plan) cells += rows * width;
  return cells;
}
