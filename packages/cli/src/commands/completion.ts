import { bashCompletion } from '../completion/bash.js';
import { describeCommands } from '../completion/described-command.js';
import { zshCompletion } from '../completion/zsh.js';
import type { CommandLine } from '../options/parse.js';
import type { Command } from '../terminal/command.js';
import { version } from '../terminal/version.js';

const commandLine: CommandLine = {
  program: 'knn-lm completion',
  description:
    'Prints a script that completes commands, options and files. Put into ~/.bashrc: source <(knn-lm completion bash); ' +
    'or into ~/.zshrc, after compinit: source <(knn-lm completion zsh).',
  positionals: { shell: { help: 'the shell', choices: ['bash', 'zsh'] } },
  options: [],
};

/** `knn-lm completion`. */
export const completionCommand: Command = {
  commandLine,
  async run({ values }, { print }) {
    const shell = values['shell'] as 'bash' | 'zsh';
    const script = { bash: bashCompletion, zsh: zshCompletion }[shell](await describeCommands(), version());
    print(script);
    return { shell, script };
  },
};
