import type { Command, Invocation } from '../terminal/command.js';
import { UsageError } from '../terminal/usage-error.js';
import { version } from '../terminal/version.js';
import { commands } from './registry.js';

/** What a command line of `knn-lm` calls: every command under one name. `--json` may stand before the command's name. */
export function selectCommand(argv: readonly string[]): Invocation {
  const first = argv.findIndex((argument) => argument !== '--json');
  if (first < 0) return { name: 'help', argv, load: () => Promise.reject(new UsageError('', usage())) };
  const name = argv[first];
  const rest = [...argv.slice(0, first), ...argv.slice(first + 1)];
  if (Object.hasOwn(commands, name)) return { name, argv: rest, load: commands[name].load };
  const json = rest.includes('--json') ? ['--json'] : [];
  if (name === '--help' || name === '-h' || name === 'help') return { name: 'help', argv: json, load: help };
  if (name === '--version' || name === 'version') return { name: 'version', argv: json, load: showVersion };
  return { name: 'help', argv: json, load: () => unknownCommand(name) };
}

async function unknownCommand(name: string): Promise<never> {
  const { closest } = await import('fastest-levenshtein');
  const hint = closest(name, Object.keys(commands));
  throw new UsageError(
    `unknown command '${name}'; did you mean '${hint}'?`,
    'usage: knn-lm COMMAND [options]\n',
  );
}

const help = (): Promise<Command> =>
  Promise.resolve({
    commandLine: { program: 'knn-lm help', description: 'Lists the commands.', options: [] },
    run(_, { print }) {
      print(usage());
      const list = Object.entries(commands).map(([name, { summary, program = null }]) => ({
        name,
        summary,
        program,
      }));
      return Promise.resolve({ commands: list });
    },
  });

const showVersion = (): Promise<Command> =>
  Promise.resolve({
    commandLine: { program: 'knn-lm version', description: 'Prints the version.', options: [] },
    run(_, { print }) {
      print(`${version()}\n`);
      return Promise.resolve({ node: process.versions.node });
    },
  });

function usage(): string {
  const width = Math.max(...Object.keys(commands).map((name) => name.length));
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`);
  return `usage: knn-lm COMMAND [options]\n\n${lines.join('\n')}\n\nknn-lm COMMAND --help shows the options of a command.\n`;
}
