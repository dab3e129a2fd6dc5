import { int, str, type Option } from './option.js';

/** Settings from a file, for every command that mixes neighbours in. */
export const settingsOptions: readonly Option[] = [
  str('--settings', null, 'take k, lambda, temperature and how to search from this file of knn-lm tune'),
];

/** Where the neighbours' own contexts come from. */
export const datastoreTextOptions: readonly Option[] = [
  str(
    '--datastore-data',
    null,
    "data-bins of the datastore's texts, for the neighbours' contexts (default: the data)",
    {
      nargs: '+',
    },
  ),
];

/** The records of the neighbours that an evaluation writes. */
export const outputNeighborsOptions: readonly Option[] = [
  str('--output-neighbors', null, 'write every token with its neighbours to this file, as JSON lines'),
  int('--output-neighbors-k', 10, 'neighbours of each token in that file'),
  str(
    '--output-neighbors-range',
    null,
    'tokens in that file, counted over the text: START:END (default: all)',
  ),
  int('--output-neighbors-context', 12, 'tokens before each token and each neighbour in that file'),
];
