import { resolveModelFolder } from '@knn-lm/checkpoint';
import { str } from '../options/option.js';
import type { CommandLine } from '../options/parse.js';
import { parsePythonDictionary } from '../options/python-dictionary.js';
import type { Command } from '../terminal/command.js';
import { openTerminal } from '../terminal/terminal.js';
import { optional } from './lm-task.js';

const commandLine: CommandLine = {
  program: 'knn-lm convert-checkpoint',
  description: 'Converts a fairseq checkpoint to a model folder (ONNX graphs and one weights file).',
  positionals: { path: 'fairseq checkpoint (model.pt)' },
  options: [
    str('--model-cache', null, 'folder for the model folder (default: beside the checkpoint)'),
    str('--model-overrides', '{}', "settings that replace the checkpoint's, as a Python dictionary"),
  ],
};

/** `knn-lm convert-checkpoint`. */
export const convertCheckpointCommand: Command = {
  commandLine,
  async run({ values }, context) {
    const { log, progress } = openTerminal(context);
    const logger = log.named('knn_lm.convert_checkpoint');
    try {
      const folder = await resolveModelFolder(values['path'] as string, {
        modelCache: optional(values['model_cache'] as string | null),
        modelOverrides: parsePythonDictionary(values['model_overrides'] as string, '--model-overrides'),
        signal: context.signal,
        onProgress: progress.report,
        logger,
      });
      logger.info(`model folder: ${folder}`);
      return { model_folder: folder };
    } finally {
      progress.close();
    }
  },
};
