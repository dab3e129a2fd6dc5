import { flag, int, str, withoutEffect, type Option } from './option.js';

/**
 * Size, dimension and precision of a datastore, which its manifest knows, if it has one.
 *
 * @param when - completes "needed …" in the help
 */
export function datastoreShapeOptions(when: string): readonly Option[] {
  return [
    int('--datastore-size', null, `entries of the datastore (needed ${when}; checked otherwise)`),
    int('--keys-dimension', null, `dimension of the keys (needed ${when}; checked otherwise)`),
    str('--keys-dtype', null, 'precision of the keys on disk (without a manifest fp16 by default)', {
      choices: ['fp16', 'fp32'],
    }),
  ];
}

const overwrite = flag('--overwrite', 'replace a datastore that is there, once the new one is complete');

/** Options of `merge_datastore`. */
export const mergeOptions: readonly Option[] = [
  str('--datastore-list', null, 'folders of the datastores, in order', { nargs: '+', required: true }),
  str('--datastore-size-list', null, 'their entries (needed without manifests; checked otherwise)', {
    nargs: '+',
  }),
  str('--keys-dtype-list', null, 'their precisions (without a manifest fp16 by default)', { nargs: '+' }),
  int('--keys-dimension', null, 'dimension of the keys (needed without manifests; checked otherwise)'),
  str('--merged-datastore', null, 'folder of the merged datastore', { required: true }),
  str('--merged-keys-dtype', 'fp16', 'precision of the merged keys', { choices: ['fp16', 'fp32'] }),
  flag(
    '--link',
    'do not copy: list the folders, which are read as one datastore and must stay where they are',
  ),
  flag('--force', 'merge datastores of different models or dictionaries, or some shards only'),
  overwrite,
];

const source: readonly Option[] = [
  str('--datastore', null, 'folder of the datastore', { required: true }),
  ...datastoreShapeOptions('without a manifest'),
];

/** Options of `dedup_datastore`. */
export const dedupOptions: readonly Option[] = [
  ...source,
  str('--deduped-datastore', null, 'folder of the new datastore', { required: true }),
  overwrite,
];

/** Options of `prune_datastore`. */
export const pruneOptions: readonly Option[] = [
  str('--method', null, 'random_pruning keeps a sample, greedy_merge merges neighbours of equal value', {
    choices: ['random_pruning', 'greedy_merge'],
    required: true,
  }),
  int('--seed', 1, 'seed of the random numbers'),
  ...source,
  str('--pruned-datastore', null, 'folder of the new datastore', { required: true }),
  int('--pruned-datastore-size', null, 'entries that stay (random_pruning)'),
  int('--batch-size', 1024, 'entries searched at a time (greedy_merge)'),
  int('--num-neighbors', 8, 'neighbours of each entry that are looked at (greedy_merge)'),
  int('--nprobe', 32, 'lists of the index that a search visits (greedy_merge)'),
  flag('--save-knn-distance', 'keep the neighbours and their distances in the new folder (greedy_merge)'),
  ...withoutEffect('ignored', '--log-interval  int  100'),
  ...withoutEffect('gpu', '--use-gpu\n--knn-fp16'),
  int('--threads', null, 'threads (default: one a core)'),
  overwrite,
];

/** Options of `reduce_datastore_dims`. */
export const reduceOptions: readonly Option[] = [
  str('--method', null, 'PCA: principal components', { choices: ['PCA'], required: true }),
  ...source,
  str('--transformed-datastore', null, 'folder of the new datastore', { required: true }),
  int('--reduced-keys-dimension', null, 'dimension of the new keys', { required: true }),
  flag('--random-rotation', 'rotate the result at random, which spreads the variance over its dimensions'),
  int('--num-trained-keys', null, 'keys that the analysis is computed from (default: 1000 a dimension)'),
  overwrite,
];
