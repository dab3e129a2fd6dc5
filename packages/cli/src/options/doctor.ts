import { languageModelOptions } from '../commands/eval-lm.js';
import { buildIndexOptions, knnDatastoreOptions, knnScoreOptions } from './knn.js';
import { destination, int, str, type Option } from './option.js';

const indexOptions = ['index_type', 'ncentroids', 'code_size', 'nbit_per_idx', 'num_trained_keys'];
const otherDefaults: Readonly<Record<string, Partial<Option>>> = {
  gen_subset: { default: 'train', help: 'split that the datastore is made of' },
  num_neighbors: { default: 1024 },
};

/** Options of `knn-lm doctor`: those of the planned commands, so that their flags can be given as they are. */
export const doctorOptions: readonly Option[] = [
  ...[
    ...languageModelOptions('language_modeling_knn'),
    ...knnDatastoreOptions,
    ...knnScoreOptions,
    ...buildIndexOptions.filter((option) => indexOptions.includes(destination(option))),
  ].map((option) => ({ ...option, required: false, ...otherDefaults[destination(option)] })),
  str('--eval-subset', 'test', 'split that will be evaluated'),
  str('--eval-sample-break-mode', null, 'how it is cut into blocks (default: --sample-break-mode)', {
    choices: ['none', 'complete', 'complete_doc', 'eos'],
  }),
  int('--eval-context-window', null, 'its context (default: --context-window)'),
  int('--eval-tokens-per-sample', null, 'its tokens of a block (default: --tokens-per-sample)'),
  int('--measure-seconds', 4, 'seconds for which the model is measured, each time'),
];
