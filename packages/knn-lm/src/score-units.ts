import type { LmBatch, LmBatchPlan } from '@knn-lm/binarizer';
import { scoredPositions } from './positions.js';
import { rowGroups } from './row-groups.js';

/**
 * Consecutive units of a text. A unit is what is given to the model and searched together; where units begin and end
 * depends on the text and the settings alone, so that a text scored in several processes, each with some of its units,
 * gives the very numbers of one process.
 */
export interface UnitRange {
  /** First unit. */
  readonly begin: number;
  /** One behind the last. */
  readonly end: number;
  /** Tokens in them; for progress. */
  readonly tokens: number;
}

/** The batches of one unit. */
interface ScoreUnit {
  readonly unit: number;
  readonly tokens: number;
  readonly batches: readonly LmBatch[];
}

/**
 * Groups the batches of a text into units of at least `tokensPerUnit` scored tokens.
 *
 * @param plan - the batches of the whole text
 * @param padIndex - id of the padding symbol
 * @param tokensPerUnit - 1 makes each group of rows its own unit
 */
export function* scoreUnits(
  plan: LmBatchPlan,
  padIndex: number,
  tokensPerUnit: number,
): Generator<ScoreUnit> {
  let unit = 0;
  let tokens = 0;
  let batches: LmBatch[] = [];
  for (const batch of plan) {
    for (const rows of rowGroups(batch)) {
      batches.push(rows);
      tokens += scoredPositions(rows, padIndex).positions.length;
      if (tokens < tokensPerUnit) continue;
      yield { unit, tokens, batches };
      unit++;
      tokens = 0;
      batches = [];
    }
  }
  if (batches.length > 0) yield { unit, tokens, batches };
}

/**
 * Divides the units of a text into contiguous shards of as equal a number of units as possible. Reads the token ids of
 * the text, no model.
 *
 * @param plan - the batches of the whole text
 * @param padIndex - id of the padding symbol
 * @param options - tokens of a unit, number of shards
 * @returns one range for each shard; ranges are empty where there are more shards than units
 */
export function divideUnits(
  plan: LmBatchPlan,
  padIndex: number,
  options: { readonly tokensPerUnit: number; readonly numShards: number },
): UnitRange[] {
  const tokens = Array.from(scoreUnits(plan, padIndex, options.tokensPerUnit), (unit) => unit.tokens);
  return Array.from({ length: options.numShards }, (_, shard) => {
    const begin = Math.floor((tokens.length * shard) / options.numShards);
    const end = Math.floor((tokens.length * (shard + 1)) / options.numShards);
    return { begin, end, tokens: tokens.slice(begin, end).reduce((sum, count) => sum + count, 0) };
  });
}
