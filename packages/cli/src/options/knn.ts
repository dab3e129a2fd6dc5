import { flag, float, int, str, withoutEffect, type Option } from './option.js';

/** BaseKnnConfig of the Python tools, and what this project adds to it. */
export const knnDatastoreOptions: readonly Option[] = [
  str('--datastore', null, 'folder of the datastore', { required: true }),
  int('--datastore-size', null, 'entries of the datastore (found by itself; checked when given)'),
  int('--keys-dimension', null, 'dimension of the keys (found by itself; checked when given)'),
  str('--keys-dtype', null, 'precision of the keys on disk (default: fp16)', { choices: ['fp16', 'fp32'] }),
  flag('--load-keys', 'open the keys (needed for --recompute-distance)'),
  flag('--load-value-weights', 'weigh the neighbours by weight.npy of a pruned datastore'),
  int('--nprobe', 32, 'lists of the index that a search visits'),
  flag('--map', 'leave the lists of the index on disk, mapped: for an index larger than memory'),
  flag('--trust-index', 'open an index of a kind that can only be read unchecked, from a source you trust'),
  flag('--move-to-memory', 'read the keys into memory first'),
  str('--module-to-capture', 'layers[-1]', 'module whose output is the key: layers[-1].final_layer_norm'),
  ...withoutEffect('ignored', '--batch-first'),
  flag('--saving-mode', 'write a datastore'),
  ...withoutEffect('gpu', '--knn-device-id  str  0\n--knn-fp16'),
];

/** KnnConfig of the Python tools. */
export const knnScoreOptions: readonly Option[] = [
  flag('--score-knn-lm', 'mix the neighbours in; without it the language model alone is evaluated'),
  flag('--recompute-distance', "compute the neighbours' real distances from the keys"),
  int('--num-neighbors', 1, 'neighbours of each token'),
  float('--lambda-value', 0.5, 'weight of the neighbours, 0 to 1'),
  float(
    '--temperature-value',
    1,
    'divides the squared distances (the Python system ignores it when scoring)',
  ),
];

/** What this project adds to every command that runs a model. */
export const runtimeOptions: readonly Option[] = [
  str('--model-cache', null, 'folder for converted checkpoints (default: beside the checkpoint)'),
  int('--threads', null, 'threads (default: one a core)'),
  str('--device', 'cpu', 'where the model runs; an error that says how to get it where it cannot', {
    choices: ['cpu', 'webgpu', 'cuda'],
  }),
  str(
    '--precision',
    'fp32',
    'arithmetic of the linear layers; int8 is about twice as fast, a little less exact',
    {
      choices: ['fp32', 'int8'],
    },
  ),
];

/** Options of `build_faiss_index`. */
export const buildIndexOptions: readonly Option[] = [
  str(
    '--index-type',
    'IndexIVFPQ',
    'IndexIVFPQ, IndexFlatL2, or a Faiss factory string such as OPQ64,IVF4096,PQ64np',
  ),
  str('--datastore', null, 'folder of the datastore', { required: true }),
  int('--datastore-size', null, 'entries of the datastore (found by itself; checked when given)'),
  int('--keys-dimension', null, 'dimension of the keys (found by itself; checked when given)'),
  str('--keys-dtype', null, 'precision of the keys on disk', { choices: ['fp16', 'fp32'] }),
  ...withoutEffect('gpu', '--use-gpu\n--knn-fp16'),
  int('--seed', 1, 'seed of the sample of keys to train on'),
  int('--ncentroids', 4096, 'lists of the index'),
  int('--code-size', 64, 'bytes (sub-quantizers) a vector'),
  int('--nbit-per-idx', 8, 'bits of a sub-quantizer'),
  int('--nprobe', 32, 'lists that a search visits'),
  int('--batch-size', 500000, 'keys read at a time'),
  int('--num-trained-keys', null, 'keys to train on, drawn at random (default: all)'),
  flag('--overwrite', 'replace a finished index'),
  flag('--train-only', 'train, and add nothing: what shards begin with'),
  int('--num-shards', 1, 'divide the index into so many files, built one at a time from one trained index'),
  int('--shard-id', 0, 'build this one of them (from 0)'),
  flag('--append', 'add the keys that the datastore has gained since the index was built'),
  flag(
    '--on-disk-lists',
    'put the lists into a file of their own; built in pieces, for more than memory holds',
  ),
  int('--threads', null, 'threads (default: one a core)'),
];

/** The variable of the Python tools that allows overwriting; `--overwrite` is the flag for it here. */
export function overwriteRequested(given: boolean): boolean {
  const variable = process.env['OVER_WRITE'];
  return (
    given ||
    (variable !== undefined && variable !== '' && !['0', 'false', 'no'].includes(variable.toLowerCase()))
  );
}
