import { ensureFolder, writeFileAtomic } from '@knn-lm/common';
import { reduceEvaluation } from '@knn-lm/knn-lm';
import { dirname } from 'node:path';
import { str } from '../options/option.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { evaluationResult } from './eval-result.js';
import { printResult } from './eval.js';

const commandLine: CommandLine = {
  program: 'knn-lm reduce-eval',
  description:
    'Adds up the shards of an evaluation (eval_knn_lm --partial-result): the loss of one process, exactly.',
  options: [
    str('--partial-results', null, 'the files of all shards, in any order', { nargs: '+', required: true }),
    str('--output', null, 'write the result to this file too, as JSON'),
  ],
};

/** `knn-lm reduce-eval`. */
export const reduceEvalCommand: Command = {
  commandLine,
  async run({ values }, context) {
    const { log } = openTerminal(context);
    const paths = values['partial_results'] as readonly string[];
    const evaluation = reduceEvaluation(paths);
    const { seconds } = evaluation;
    const result = { ...evaluationResult(evaluation), seconds, shards: paths.length };
    const output = values['output'] as string | null;
    if (output !== null) {
      await ensureFolder(dirname(output));
      await writeFileAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
    }
    printResult(log, evaluation, seconds);
    return result;
  },
};
