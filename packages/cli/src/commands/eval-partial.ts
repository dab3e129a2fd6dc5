import { rm } from 'node:fs/promises';
import { KnnLmError, type TaskOptions } from '@knn-lm/common';
import { evaluateShard, type PartialIdentity } from '@knn-lm/knn-lm';
import { flag, int, str } from '../options/option.js';
import type { WordOutput } from './eval-output.js';
import type { NeighborSetup } from './eval.js';
import type { LmTask, Values } from './lm-task.js';
import { isIndexShard } from './neighbors.js';

/** What evaluations take to run in shards. */
export const partialResultOptions = [
  str(
    '--partial-result',
    null,
    'with --num-shards: write what this shard adds to the loss to a file (reduce-eval)',
  ),
  flag('--overwrite', 'replace a partial result of another evaluation'),
];

/** What evaluations with neighbours take besides, for an index that was built in shards. */
export const indexShardOptions = [
  int(
    '--index-shards',
    1,
    'with --partial-result: search one of so many shards of the index; reduce-eval merges the nearest',
  ),
  int('--index-shard', 0, 'the shard of the index (from 0)'),
];

/** What {@link evaluatePartial} works with. */
export interface PartialSurroundings extends TaskOptions {
  /** Model and text. */
  readonly task: LmTask;
  /** Datastore and index; none for the model alone. */
  readonly neighbors: NeighborSetup | undefined;
  /** Turns tokens into words. */
  readonly words: WordOutput;
}

/** A partial result for programs. */
export interface PartialResult {
  readonly path: string;
  readonly num_shards: number;
  readonly shard_id: number;
  readonly tokens: number;
  readonly units: number;
  readonly units_scored: number;
}

/**
 * Evaluates one shard of a text and writes its partial result.
 *
 * @param values - option values
 * @param surroundings - what is open
 */
export async function evaluatePartial(
  values: Values,
  surroundings: PartialSurroundings,
): Promise<PartialResult> {
  const { task, neighbors, words, ...watched } = surroundings;
  const path = values['partial_result'] as string;
  const place = { numShards: values['num_shards'] as number, shardId: values['shard_id'] as number };
  const indexShard = indexShardOf(values);
  const evaluate = () =>
    evaluateShard(task.model, task.wholePlan(), path, {
      ...place,
      identity: identityOf(values, task, neighbors),
      retriever: neighbors?.retriever,
      ...neighbors?.mixing,
      scores: words.scores,
      indexShard,
      ...watched,
    });
  const { units, unitsScored } = await evaluate().catch(async (error: unknown) => {
    if (!isOther(error) || values['overwrite'] !== true) throw error;
    watched.logger?.info(`${error.message}; it is replaced`);
    for (const name of [path, `${path}.partial`]) await rm(name, { force: true });
    return evaluate();
  });
  const { numShards, shardId } = place;
  watched.logger?.info(
    `shard ${shardId} of ${numShards}: ${units.tokens.toLocaleString('en-US')} tokens in ${path}`,
  );
  return {
    path,
    num_shards: numShards,
    shard_id: shardId,
    tokens: units.tokens,
    units: units.end - units.begin,
    units_scored: unitsScored,
  };
}

function indexShardOf(values: Values): { id: number; of: number } | undefined {
  const of = (values['index_shards'] as number | undefined) ?? 1;
  const id = (values['index_shard'] as number | undefined) ?? 0;
  if (!(of >= 1 && id >= 0 && id < of)) {
    throw new KnnLmError('INDEX_SHARD', `--index-shard is ${id} of --index-shards ${of}`, {
      hint: 'Shards of the index count from 0.',
      details: { found: id, expected: of },
    });
  }
  if (of === 1) return undefined;
  return { id, of };
}

/**
 * Checks that options that need a whole evaluation are not given with a part of one.
 *
 * @param values - option values
 * @throws `PARTIAL_RESULT`
 */
export function checkPartialOptions(values: Values): void {
  const isPartial = typeof values['partial_result'] === 'string';
  if (isIndexShard(values) && !isPartial) {
    throw new KnnLmError('PARTIAL_RESULT', '--index-shards needs --partial-result', {
      hint: 'Leave --index-shards out to search all shards, or write partial results and put them together with knn-lm reduce-eval.',
    });
  }
  const others = ['report', 'output_neighbors', ...(isIndexShard(values) ? ['post_process'] : [])];
  const other = others.find((name) => isPartial && typeof values[name] === 'string');
  if (other === undefined) return;
  throw new KnnLmError('PARTIAL_RESULT', `--${other.replaceAll('_', '-')} needs a whole evaluation`, {
    hint: 'Leave it out, or leave --partial-result out.',
  });
}

function isOther(error: unknown): error is KnnLmError {
  return error instanceof KnnLmError && error.code === 'PARTIAL_MISMATCH';
}

/** What must be the same for shards to belong together: whatever the numbers depend on. */
function identityOf(values: Values, task: LmTask, neighbors: NeighborSetup | undefined): PartialIdentity {
  const { info } = task.model;
  const setting = (name: string) => values[name] as string | number | boolean | null;
  return {
    model: info.fingerprint,
    precision: info.precision,
    dictionary: task.dictionary.fingerprint,
    text: task.dataset.fingerprint,
    split: task.split,
    break_mode: task.breakMode,
    tokens_per_sample: task.tokensPerSample,
    context_window: task.contextWindow,
    max_tokens: setting('max_tokens'),
    batch_size: setting('batch_size'),
    add_bos_token: setting('add_bos_token'),
    shorten_method: setting('shorten_method'),
    post_process: setting('post_process'),
    ...(neighbors === undefined
      ? { num_neighbors: 0 }
      : neighborIdentity(values, info.moduleToCapture, neighbors)),
  };
}

function neighborIdentity(values: Values, module: string, neighbors: NeighborSetup): PartialIdentity {
  const { about, retriever, lambdaResult, index } = neighbors;
  const { datastore, rows, dimension, dtype, distances, nprobe } = about as PartialIdentity;
  // Shards of one index have different checksums, and were made from one trained index.
  const indexFingerprint = isIndexShard(values) ? index.record?.trainedSha256 : index.record?.sha256;
  return {
    module,
    datastore,
    rows,
    dimension,
    dtype,
    distances,
    nprobe,
    index: indexFingerprint ?? null,
    num_neighbors: retriever.k,
    lambda: typeof lambdaResult === 'number' ? lambdaResult : JSON.stringify(lambdaResult),
    load_value_weights: values['load_value_weights'] === true,
  };
}
