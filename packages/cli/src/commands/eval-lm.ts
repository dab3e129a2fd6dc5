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
import type { Option } from '../options/option.js';
import { runtimeOptions } from '../options/knn.js';
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
  options: languageModelOptions('language_modeling'),
};

/** `fairseq-eval-lm`. */
export async function evalLm(argv: readonly string[], signal: AbortSignal): Promise<undefined> {
  // Any module would do: the queries are not used. The cheapest one is the default.
  await runEvaluation(parseArguments(commandLine, argv), signal, {
    moduleToCapture: 'layers[-1].final_layer_norm',
  });
}
