import { knnDatastoreOptions, knnScoreOptions, runtimeOptions } from './knn.js';
import { flag, float, int, str, type Option } from './option.js';
import { settingsOptions } from './settings.js';

/** Options of `knn-lm generate`; those of `fairseq-generate` have its names and defaults. */
export const generateOptions: readonly Option[] = [
  str('--path', null, 'checkpoint, model folder or .onnx file', { required: true }),
  str('--prompt', null, 'the text to continue, tokenized like the data; - reads standard input', {
    required: true,
  }),
  int('--max-len-b --max-len', 200, 'tokens at most'),
  flag('--sampling', 'draw tokens at random instead of taking the likeliest'),
  int('--sampling-topk', -1, 'draw from this many of the likeliest tokens (below 1: all)'),
  float(
    '--sampling-topp',
    -1,
    'draw from the likeliest tokens that together have this probability (below 0: all)',
  ),
  float('--temperature', 1, 'of sampling: below 1 likely tokens become likelier'),
  int('--seed', 1, 'seed of sampling'),
  flag('--explain', 'mark the [tokens] that the neighbours decided, and list them'),
  flag('--ignore-eos', 'go on after the end of a line instead of stopping there'),
  flag('--no-unk', 'never choose <unk>'),
  flag('--add-bos-token', 'begin with <s> instead of </s> (found by itself for fairseq checkpoints)'),
  int('--context-length', null, 'tokens that a prediction depends on (default: as the model was trained)'),
  str('--model-overrides', '{}', "settings of the checkpoint to replace: {'max_target_positions': 512}"),
  ...knnScoreOptions.flatMap(usualForGeneration),
  ...knnDatastoreOptions.flatMap(optionalDatastore),
  flag('--force', 'use a datastore whose manifest names another model, module or dictionary'),
  ...settingsOptions,
  ...runtimeOptions,
];

/** With a datastore its neighbours are mixed in; a single one, the default of the Python tools, copies the datastore. */
function usualForGeneration(option: Option): Option[] {
  switch (option.flags[0]) {
    case '--score-knn-lm':
      return [
        {
          ...option,
          effect: 'training',
          help: 'accepted; neighbours are mixed in wherever --datastore is given',
        },
      ];
    case '--num-neighbors':
      return [{ ...option, default: 1024 }];
    case '--lambda-value':
      return [{ ...option, default: 0.25 }];
    default:
      return [option];
  }
}

function optionalDatastore(option: Option): Option[] {
  if (option.flags[0] === '--saving-mode') return [];
  if (option.flags[0] !== '--datastore') return [option];
  return [
    { ...option, required: false, help: 'folder of the datastore; without it the model alone goes on' },
  ];
}
