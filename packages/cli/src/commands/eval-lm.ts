import { parseArguments, type CommandLine } from '../options/parse.js';
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
    flag('--compare-precision', 'evaluate with fp32 and int8, and print both perplexities and times'),
  ],
};

/** `fairseq-eval-lm`. */
export async function evalLm(argv: readonly string[], signal: AbortSignal): Promise<undefined> {
  const parsed = parseArguments(commandLine, argv);
  if (parsed.values['compare_precision'] === true) return comparePrecision(parsed, signal);
  // Any module would do, for the queries are not used: the model's own default.
  await runEvaluation(parsed, signal, {});
}
