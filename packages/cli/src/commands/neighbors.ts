import { join } from 'node:path';
import { KnnLmError } from '@knn-lm/common';
import { Datastore, type Manifest } from '@knn-lm/datastore';
import { KnnIndex } from '@knn-lm/index';
import { NeighborSearch } from '@knn-lm/knn-lm';
import { optional, type LmTask, type Values } from './lm-task.js';
import type { NeighborSetup } from './eval.js';

/** Opens a datastore as the flags describe it; the flags are only needed where it has no manifest. */
export function openDatastore(values: Values, needKeys: boolean): Promise<Datastore> {
  const dtype = values['keys_dtype'] as 'fp16' | 'fp32' | null;
  return Datastore.open(values['datastore'] as string, {
    rows: positive(values['datastore_size'] as number | null),
    dimension: positive(values['keys_dimension'] as number | null),
    dtype: optional(dtype),
    needKeys,
  });
}

/** fairseq's default for a size that is not given is 0. */
function positive(value: number | null): number | undefined {
  return value === null || value === 0 ? undefined : value;
}

/**
 * Opens datastore and index for an evaluation, and checks that they belong to the model and the dictionary.
 *
 * @param values - option values
 * @param task - the opened model and text
 * @throws `RECOMPUTE_WITHOUT_KEYS`, and whatever does not fit together
 */
export async function openNeighbors(values: Values, task: LmTask): Promise<NeighborSetup> {
  const recomputeDistance = values['recompute_distance'] === true;
  if (recomputeDistance && values['load_keys'] !== true) {
    throw new KnnLmError('RECOMPUTE_WITHOUT_KEYS', '--recompute-distance needs the keys', { hint: 'Add --load-keys.' });
  }
  const datastore = await openDatastore(values, recomputeDistance);
  try {
    if (values['force'] !== true) checkBelongsTogether(datastore, task);
    if (recomputeDistance && values['move_to_memory'] === true) await datastore.moveToMemory();
    const indexPath = join(datastore.folder, 'faiss.index');
    const index = await KnnIndex.open(indexPath, {
      nprobe: values['nprobe'] as number,
      threads: optional(values['threads'] as number | null),
    });
    try {
      const k = values['num_neighbors'] as number;
      const valueWeights = values['load_value_weights'] === true;
      const search = new NeighborSearch(index, datastore, { k, recomputeDistance, valueWeights });
      const lambda = values['lambda_value'] as number;
      const temperature = values['temperature_value'] as number;
      const distances = recomputeDistance ? 'recomputed from the keys' : "the index's";
      return {
        search,
        lambda,
        temperature,
        description: [
          `datastore ${datastore.folder} (${datastore.rows.toLocaleString('en-US')} entries of ${datastore.dimension} ${datastore.dtype})`,
          `index ${indexPath} (${index.description})`,
          `k ${k}, lambda ${lambda}, temperature ${temperature}, distances ${distances}`,
        ],
        close() {
          index.close();
          datastore.close();
        },
      };
    } catch (error) {
      index.close();
      throw error;
    }
  } catch (error) {
    datastore.close();
    throw error;
  }
}

/** A datastore of another model, module or dictionary gives a perplexity that is silently wrong: refuse it. */
function checkBelongsTogether(datastore: Datastore, task: LmTask): void {
  const { info } = task.model;
  if (datastore.dimension !== info.keyDimension) {
    throw mismatch(datastore, 'dimension', datastore.dimension, info.keyDimension);
  }
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

function mismatch(datastore: Datastore, what: string, found: string | number, expected: string | number): KnnLmError {
  return new KnnLmError(
    'DATASTORE_MODEL_MISMATCH',
    `the datastore ${datastore.folder} was made with another ${what}: ${found}; this evaluation has ${expected}`,
    {
      hint: 'Evaluate with the model, module and dictionary of the datastore, or make a new datastore (--force evaluates all the same where the dimensions agree).',
      details: { found, expected },
    },
  );
}
