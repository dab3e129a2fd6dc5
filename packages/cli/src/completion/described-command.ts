import { commands } from '../commands/registry.js';
import { jsonOption, positionalRules } from '../options/parse.js';
import type { Option } from '../options/option.js';

/** What a word may be: one of some, a file, or anything else. */
export interface Completed {
  /** The words to offer. */
  readonly choices?: readonly string[] | undefined;
  /** Whether files and folders are offered. */
  readonly files: boolean;
}

/** An option for completion. */
export interface DescribedOption extends Completed {
  /** All spellings. */
  readonly flags: readonly string[];
  /** Its help. */
  readonly help: string;
  /** How many values follow it. */
  readonly takes: 'none' | 'one' | 'optional' | 'many';
}

/** A command for completion. */
export interface DescribedCommand {
  /** As in `knn-lm COMMAND`. */
  readonly name: string;
  /** The program that is this command under the name of the Python tools. */
  readonly program: string | undefined;
  /** One line. */
  readonly summary: string;
  /** Positional arguments, in order. */
  readonly positionals: readonly (Completed & { readonly name: string })[];
  /** The options that have an effect. */
  readonly options: readonly DescribedOption[];
}

const help: DescribedOption = {
  flags: ['--help', '-h'],
  help: 'show the options',
  takes: 'none',
  files: false,
};

/** Every command with its options, from the tables that parse them: new ones are there by themselves. */
export async function describeCommands(): Promise<DescribedCommand[]> {
  return Promise.all(
    Object.entries(commands).map(async ([name, { program, summary, load }]) => {
      const { options, positionals = {} } = (await load()).commandLine;
      return {
        name,
        program,
        summary,
        positionals: Object.entries(positionals).map(([positional, rules]) => {
          const { choices } = positionalRules(rules);
          return { name: positional, choices, files: choices === undefined };
        }),
        options: [
          ...options.filter(({ effect }) => effect === 'used').map(describeOption),
          describeOption(jsonOption),
          help,
        ],
      };
    }),
  );
}

function describeOption(option: Option): DescribedOption {
  const { flags, type, choices, nargs } = option;
  const takes = type === 'flag' ? 'none' : nargs === '+' ? 'many' : nargs === '?' ? 'optional' : 'one';
  const files = type === 'str' && choices === undefined && takesPath(option);
  return { flags, help: option.help, takes, choices, files };
}

/** The tables do not say which texts are paths; their names and helps do. */
function takesPath({ flags, help: text }: Option): boolean {
  return (
    /(?:dir|dict|path|pref|file|cache|datastore)(?:-list)?$/.test(flags[0]) ||
    /\b(?:folders?|files?|checkpoint)\b/.test(text)
  );
}
