import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import {
  commonEvalOptions,
  commonOptions,
  datasetOptions,
  distributedOptions,
  evalLmOptions,
  languageModelingOptions,
  registryDefaultsOptions,
  registryOptions,
} from '../options/fairseq.js';
import { flag, type Option } from '../options/option.js';
import { runtimeOptions } from '../options/knn.js';
import { comparePrecision } from './compare-precision.js';
import { partialResultOptions } from './eval-partial.js';
import { runEvaluation } from './eval.js';

/** Options of every command that evaluates or runs a language model over a text. */
export function languageModelOptions(task: string): readonly Option[] {
  return [
    ...commonOptions,
    ...registryOptions(task),
    ...registryDefaultsOptions,
    ...datasetOptions,
    ...distributedOptions,
    ...commonEvalOptions,
    ...evalLmOptions,
    ...languageModelingOptions,
    ...runtimeOptions,
  ];
}

const commandLine: CommandLine = {
  program: 'fairseq-eval-lm',
  description: 'Perplexity of a text under a language model.',
  positionals: { data: 'folder made by fairseq-preprocess' },
  options: [
    ...languageModelOptions('language_modeling'),
    ...partialResultOptions,
    flag('--compare-precision', 'evaluate with fp32 and int8, and print both perplexities and times'),
  ],
};

/** `fairseq-eval-lm`. */
export const evalLmCommand: Command = {
  commandLine,
  run: (parsed, context) =>
    parsed.values['compare_precision'] === true
      ? comparePrecision(parsed, context)
      : // Any module would do, for the queries are not used: the model's own default.
        runEvaluation(parsed, context, {}),
};
