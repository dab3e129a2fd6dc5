import { readManifest } from '@knn-lm/datastore';
import type { CommandLine, ParsedArguments } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { flag } from '../options/option.js';
import { knnDatastoreOptions, knnScoreOptions } from '../options/knn.js';
import { languageModelOptions } from './eval-lm.js';
import { indexShardOptions, partialResultOptions } from './eval-partial.js';
import { runEvaluation } from './eval.js';
import { datastoreTextOptions, outputNeighborsOptions, settingsOptions } from '../options/settings.js';
import { reportOptions } from '../options/report.js';
import { openSettledNeighbors, settleValues } from './settings-file.js';

/** Options of every command that looks neighbours up. */
export const knnEvaluationOptions = [
  ...languageModelOptions('language_modeling_knn'),
  ...knnScoreOptions,
  ...knnDatastoreOptions,
  flag('--force', 'use a datastore whose manifest names another model, module or dictionary'),
];

const commandLine: CommandLine = {
  program: 'eval_knn_lm',
  description: 'Perplexity of a text under a language model mixed with its nearest neighbours.',
  positionals: { data: 'folder made by fairseq-preprocess' },
  options: [
    ...knnEvaluationOptions,
    ...settingsOptions,
    ...outputNeighborsOptions,
    ...reportOptions,
    ...datastoreTextOptions,
    ...partialResultOptions,
    ...indexShardOptions,
  ],
};

/** `eval_knn_lm`. */
export const evalCommand: Command = {
  commandLine,
  async run(parsed, context) {
    const settled = await settleValues(parsed);
    const { values } = settled;
    return runEvaluation(parsed, context, {
      values,
      moduleToCapture: await capturedModule(parsed),
      ...(values['score_knn_lm'] === true
        ? { openNeighbors: (task, surroundings) => openSettledNeighbors(settled, task, surroundings) }
        : {}),
    });
  },
};

/** The module given, or else the one that the datastore was made with, or else the Python tools' default. */
export async function capturedModule(parsed: ParsedArguments): Promise<string> {
  const given = parsed.given.some((option) => option.flags.includes('--module-to-capture'));
  const manifest = given ? undefined : await readManifest(parsed.values['datastore'] as string);
  return manifest?.identity.moduleToCapture ?? (parsed.values['module_to_capture'] as string);
}
