import { listModules } from '@knn-lm/lm-runtime';
import type { Command } from '../terminal/command.js';

/** `knn-lm list-modules`. */
export const listModulesCommand: Command = {
  commandLine: {
    program: 'knn-lm list-modules',
    description: 'Prints the modules of a model whose output --module-to-capture can name.',
    positionals: { path: 'checkpoint, model folder or .onnx file' },
    options: [],
  },
  async run({ values }, { print }) {
    const modules = await listModules(values['path'] as string);
    print(`${modules.join('\n')}\n`);
    return { modules };
  },
};
