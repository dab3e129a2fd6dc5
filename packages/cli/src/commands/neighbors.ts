import { join } from 'node:path';
import type { TokenDataset } from '@knn-lm/binarizer';
import { KnnLmError, type Logger, type TaskOptions } from '@knn-lm/common';
import { Datastore, readManifest, ValueWeights, type KeysDtype, type Manifest } from '@knn-lm/datastore';
import { checkIndexDatastore, INDEX_FILE, KnnIndex, shardFile } from '@knn-lm/index';
import { checkSettings, lambdaFunction, Retriever, type AdaptiveLambda } from '@knn-lm/knn-lm';
import { checkSample } from './check-sample.js';
import { optional, type LmTask, type Values } from './lm-task.js';
import type { NeighborSetup } from './eval.js';

/**
 * Opens a datastore as the flags describe it. They are only needed where it has no manifest; fp16 is the Python tools'
 * default then, too.
 */
export async function openDatastore(values: Values, needKeys: boolean, logger?: Logger): Promise<Datastore> {
  const folder = values['datastore'] as string;
  const given = values['keys_dtype'] as KeysDtype | null;
  const hasManifest = (await readManifest(folder)) !== undefined;
  return Datastore.open(folder, {
    rows: positive(values['datastore_size'] as number | null),
    dimension: positive(values['keys_dimension'] as number | null),
    dtype: given ?? (hasManifest ? undefined : 'fp16'),
    needKeys,
    logger,
  });
}

/** fairseq's default for a size that is not given is 0. */
function positive(value: number | null): number | undefined {
  return value === null || value === 0 ? undefined : value;
}

/** What a datastore must belong to. */
export interface NeighborTask extends Pick<LmTask, 'dictionary'> {
  /** The model that makes the queries. */
  readonly model: Pick<LmTask['model'], 'info'>;
  /** The text; `undefined` where there is none. */
  readonly dataset?: Pick<LmTask['dataset'], 'fingerprint'> | undefined;
}

/**
 * Opens datastore and index for an evaluation, and checks that they belong to the model and the dictionary.
 *
 * @param values - option values
 * @param task - the opened model and text
 * @param surroundings - how to watch and stop the work
 * @param adaptive - a lambda that depends on the distance, instead of `--lambda-value`
 * @throws `RECOMPUTE_WITHOUT_KEYS`, and whatever does not fit together
 */
export async function openNeighbors(
  values: Values,
  task: NeighborTask,
  surroundings: TaskOptions,
  adaptive?: AdaptiveLambda,
): Promise<NeighborSetup> {
  const recomputeDistance = values['recompute_distance'] === true;
  if (recomputeDistance && values['load_keys'] !== true) {
    throw new KnnLmError('RECOMPUTE_WITHOUT_KEYS', '--recompute-distance needs the keys', {
      hint: 'Add --load-keys.',
    });
  }
  const opened: { close(): void }[] = [];
  const keep = <T extends { close(): void }>(resource: T): T => {
    opened.push(resource);
    return resource;
  };
  const close = () => opened.reverse().forEach((resource) => resource.close());
  try {
    const datastore = keep(await openDatastore(values, recomputeDistance, surroundings.logger));
    checkDimension(datastore, task);
    if (values['force'] !== true) checkIdentity(datastore, task);
    warnOfOwnText(datastore, task.dataset, surroundings.logger);
    await checkSample(datastore, task.dictionary.size, values['force'] === true, surroundings);
    if (recomputeDistance && values['move_to_memory'] === true) await datastore.moveToMemory(surroundings);
    const indexPath = indexPathOf(values, datastore.folder);
    const index = keep(
      await KnnIndex.open(indexPath, {
        nprobe: values['nprobe'] as number,
        threads: optional(values['threads'] as number | null),
        map: values['map'] === true,
        trust: values['trust_index'] === true,
        logger: surroundings.logger,
      }),
    );
    if (values['force'] !== true) checkIndexDatastore(index.path, index.record, datastore);
    const weights =
      values['load_value_weights'] === true
        ? keep(await ValueWeights.open(datastore.folder, datastore.rows))
        : undefined;
    const k = values['num_neighbors'] as number;
    const lambda = values['lambda_value'] as number;
    const temperature = values['temperature_value'] as number;
    checkSettings({ k, lambda, temperature });
    const distances = recomputeDistance ? 'recomputed from the keys' : "the index's";
    const { rows, dimension, dtype } = datastore;
    return {
      retriever: new Retriever(index, datastore, {
        k,
        recomputeDistance,
        weights,
        indexShard: isIndexShard(values),
      }),
      datastore,
      index,
      mixing: { lambda: adaptive === undefined ? lambda : lambdaFunction(adaptive), temperature },
      lambdaResult: adaptive ?? lambda,
      description: [
        `datastore ${datastore.folder} (${rows.toLocaleString('en-US')} entries of ${dimension} ${dtype})`,
        `index ${indexPath} (${index.description})`,
        `k ${k}, lambda ${describeLambda(adaptive ?? lambda)}, temperature ${temperature}, distances ${distances}`,
      ],
      about: {
        datastore: datastore.folder,
        rows,
        dimension,
        dtype,
        index: index.description,
        index_entries: index.size,
        distances: recomputeDistance ? 'recomputed' : 'index',
        nprobe: values['nprobe'] as number,
      },
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** One file of an index that was built in shards, to be searched apart from the others. */
export function isIndexShard(values: Values): boolean {
  return typeof values['index_shards'] === 'number' && values['index_shards'] > 1;
}

function indexPathOf(values: Values, folder: string): string {
  if (!isIndexShard(values)) return join(folder, INDEX_FILE);
  return join(folder, shardFile(values['index_shard'] as number, values['index_shards'] as number));
}

/** Lambda in a few words. */
export function describeLambda(lambda: number | AdaptiveLambda): string {
  if (typeof lambda === 'number') return String(lambda);
  const { lambdas } = lambda;
  if (lambdas.length === 1) return `adaptive (${lambdas[0].toFixed(3)})`;
  const [most, least] = [lambdas[0], lambdas[lambdas.length - 1]];
  return `adaptive (${most.toFixed(3)} to ${least.toFixed(3)} in ${lambdas.length} steps of the nearest distance)`;
}

/**
 * Who evaluates on the datastore's own text finds every token itself, and a perplexity that says nothing: a line says so.
 *
 * @param datastore - the datastore
 * @param text - the evaluated text
 * @param logger - receives the line
 */
export function warnOfOwnText(
  datastore: Datastore,
  text: Pick<TokenDataset, 'fingerprint'> | undefined,
  logger: Logger | undefined,
): void {
  if (text === undefined) return;
  if (!datastore.texts?.some(({ identity }) => identity.textFingerprint === text.fingerprint)) return;
  logger?.warn(
    `the datastore ${datastore.folder} was made from this very text: every token finds itself there, and the perplexity says nothing about other text`,
  );
}

/** The model's hidden states must fit the datastore's keys, or the transform that reduced them. */
function checkDimension(datastore: Datastore, task: NeighborTask): void {
  const { keyDimension } = task.model.info;
  const taken = datastore.transform?.inputDimension ?? datastore.dimension;
  if (taken !== keyDimension) throw mismatch(datastore, 'dimension', taken, keyDimension);
}

/** A datastore of another model, module or dictionary gives a perplexity that is silently wrong: refuse it. */
function checkIdentity(datastore: Datastore, task: NeighborTask): void {
  const { info } = task.model;
  const identity: Manifest['identity'] | undefined = datastore.manifest?.identity;
  if (identity === undefined) return;
  const { modelFingerprint, moduleToCapture, dictionaryFingerprint } = identity;
  const pairs: [what: string, found: string | undefined, expected: string][] = [
    ['model', modelFingerprint, info.fingerprint],
    ['module', moduleToCapture, info.moduleToCapture],
    ['dictionary', dictionaryFingerprint, task.dictionary.fingerprint],
  ];
  for (const [what, found, expected] of pairs) {
    if (found !== undefined && found !== expected) throw mismatch(datastore, what, found, expected);
  }
}

function mismatch(
  datastore: Datastore,
  what: string,
  found: string | number,
  expected: string | number,
): KnnLmError {
  return new KnnLmError(
    'DATASTORE_MODEL_MISMATCH',
    `the datastore ${datastore.folder} was made with another ${what}: ${found}; this evaluation has ${expected}`,
    {
      hint: 'Evaluate with the model, module and dictionary of the datastore, or make a new datastore (--force evaluates all the same where the dimensions agree).',
      details: { found, expected },
    },
  );
}
