import { resolveModelFolder } from '@knn-lm/checkpoint';
import { str } from '../options/option.js';
import { parseArguments, type CommandLine } from '../options/parse.js';
import { parsePythonDictionary } from '../options/python-dictionary.js';
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
export async function convertCheckpointCommand(
  argv: readonly string[],
  signal: AbortSignal,
): Promise<undefined> {
  const { values } = parseArguments(commandLine, argv);
  const { log, progress } = openTerminal();
  const logger = log.named('knn_lm.convert_checkpoint');
  try {
    const folder = await resolveModelFolder(values['path'] as string, {
      modelCache: optional(values['model_cache'] as string | null),
      modelOverrides: parsePythonDictionary(values['model_overrides'] as string, '--model-overrides'),
      signal,
      onProgress: progress.report,
      logger,
    });
    logger.info(`model folder: ${folder}`);
  } finally {
    progress.close();
  }
}
