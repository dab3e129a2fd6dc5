import { ArgumentParser, RawDescriptionHelpFormatter, type ArgumentOptions } from 'argparse';
import { closest, distance } from 'fastest-levenshtein';
import { UsageError } from '../terminal/usage-error.js';
import { destination, flag, type Option, type OptionValue } from './option.js';

/** What a command line says. */
export interface ParsedArguments {
  /** Value of every option and positional, by its Python name (`keys_dtype`). */
  readonly values: Readonly<Record<string, OptionValue>>;
  /** The options that were given, in the table's order. */
  readonly given: readonly Option[];
}

/** A positional argument: its help, or more about it. */
export type Positional = string | PositionalRules;

/** What a positional argument may be. */
export interface PositionalRules {
  /** One line for `--help`. */
  readonly help: string;
  /** The values allowed. */
  readonly choices?: readonly string[] | undefined;
  /** It may be left out, and is null then. */
  readonly optional?: boolean | undefined;
}

/** What is known about a positional argument. */
export function positionalRules(positional: Positional): PositionalRules {
  return typeof positional === 'string' ? { help: positional } : positional;
}

/** How a command's arguments are parsed. */
export interface CommandLine {
  /** Name shown in messages. */
  readonly program: string;
  /** One sentence for `--help`. */
  readonly description: string;
  /** Positional arguments. */
  readonly positionals?: Readonly<Record<string, Positional>> | undefined;
  /** The command takes another command after `--`, which is `values.rest`; its help. */
  readonly rest?: string | undefined;
  /** The options. */
  readonly options: readonly Option[];
  /** Whether unambiguous beginnings of an option are accepted, as plain argparse does and fairseq does not. */
  readonly allowAbbreviations?: boolean | undefined;
}

/**
 * Parses a command line as Python's argparse does: `--flag value`, `--flag=value`, the last one counts.
 *
 * @param commandLine - the command's options
 * @param all - arguments without program and script
 * @throws {@link UsageError} for an unknown option (naming the nearest known one), a missing or malformed value
 */
export function parseArguments(commandLine: CommandLine, all: readonly string[]): ParsedArguments {
  const parser = buildParser(commandLine);
  const [argv, rest] = splitRest(commandLine, all);
  let parsed: [namespace: Record<string, OptionValue>, unknown: string[]];
  try {
    parsed = parser.parse_known_args([...argv]);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(error instanceof Error ? error.message : String(error), parser.format_usage());
  }
  const [namespace, unknown] = parsed;
  if (unknown.length > 0) throw unknownArguments(unknown, commandLine, parser.format_usage());
  // Whoever starts the command looks for the whole word, before the line is parsed.
  if ('json' in namespace && !jsonRequested(argv)) {
    throw new UsageError('--json cannot be abbreviated', parser.format_usage());
  }
  const values: Record<string, OptionValue> = commandLine.rest === undefined ? {} : { rest };
  for (const name of Object.keys(commandLine.positionals ?? {})) values[name] = namespace[name] ?? null;
  for (const option of commandLine.options) {
    const name = destination(option);
    values[name] = name in namespace ? namespace[name] : option.default;
  }
  return { values, given: commandLine.options.filter((option) => destination(option) in namespace) };
}

/** The command's own arguments, and those of the command that it runs. */
function splitRest({ rest }: CommandLine, argv: readonly string[]): [readonly string[], readonly string[]] {
  const at = rest === undefined ? -1 : argv.indexOf('--');
  return at < 0 ? [argv, []] : [argv.slice(0, at), argv.slice(at + 1)];
}

function buildParser(commandLine: CommandLine): ArgumentParser {
  const { program, description, positionals = {}, options, allowAbbreviations = false } = commandLine;
  const parser = new ArgumentParser({
    prog: program,
    // argparse would list every option here, some hundred of them.
    usage: [program, '[options]', ...positionalNames(commandLine)].join(' '),
    description,
    epilog: describeWithoutEffect(options),
    formatter_class: RawDescriptionHelpFormatter,
    allow_abbrev: allowAbbreviations,
    exit_on_error: false,
    // Only what was given is in the result: `given` tells an option at its default from one left out.
    argument_default: suppressed,
  });
  parser.error = (error: string | Error) => {
    throw new UsageError(error instanceof Error ? error.message : error, parser.format_usage());
  };
  for (const [name, positional] of Object.entries(positionals)) {
    const { help, choices, optional } = positionalRules(positional);
    parser.add_argument(name, {
      help,
      ...(choices === undefined ? {} : { choices: [...choices] }),
      ...(optional === true ? { nargs: '?' } : {}),
    });
  }
  for (const option of options) {
    const [first, ...others] = option.flags;
    parser.add_argument(first, ...others, argparseOptions(option));
  }
  parser.add_argument(jsonOption.flags[0], argparseOptions(jsonOption));
  return parser;
}

/** Every command has it; it is no value of the command's own. */
export const jsonOption = flag(
  '--json',
  'print the result as one JSON object; all else goes to standard error',
);

/** Whether `--json` is on a command line: known before the rest of the line is understood. */
export function jsonRequested(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  return argv.slice(0, end < 0 ? undefined : end).includes(jsonOption.flags[0]);
}

function positionalNames({ positionals = {}, rest }: CommandLine): string[] {
  const names = Object.entries(positionals).map(([name, positional]) =>
    positionalRules(positional).optional === true ? `[${name}]` : name,
  );
  return rest === undefined ? names : [...names, '-- command ...'];
}

const suppressed = '==SUPPRESS==';

function argparseOptions(option: Option): ArgumentOptions {
  const { type, choices, nargs, required, effect } = option;
  const hasDefault = option.default !== null && option.default !== '' && type !== 'flag';
  const shown = hasDefault ? ` (default: ${String(option.default)})` : '';
  const help = effect === 'used' ? `${option.help}${shown}`.replaceAll('%', '%%') : suppressed;
  if (type === 'flag') return { action: 'store_true', default: suppressed, help };
  return {
    type,
    help,
    ...(choices === undefined ? {} : { choices }),
    ...(nargs === undefined ? {} : { nargs, const: option.const }),
    ...(required === undefined ? {} : { required }),
  };
}

/** The options that are accepted only because the Python commands have them, in lines of a terminal's width. */
function describeWithoutEffect(options: readonly Option[]): string {
  const names = options.filter(({ effect }) => effect !== 'used').map(({ flags }) => flags[0]);
  if (names.length === 0) return '';
  const lines = [''];
  for (const name of names) {
    if (lines[lines.length - 1].length + name.length > 96) lines.push('');
    lines[lines.length - 1] += `  ${name}`;
  }
  return `accepted as in the Python system, without effect here:\n${lines.join('\n')}`;
}

function unknownArguments(unknown: readonly string[], commandLine: CommandLine, usage: string): UsageError {
  const flags = commandLine.options.flatMap((option) => option.flags);
  const first = unknown.find((argument) => argument.startsWith('-')) ?? unknown[0];
  const name = first.split('=')[0];
  const known = [...flags, ...jsonOption.flags, '--help'];
  const nearest = name.startsWith('-') ? nearestFlag(name, known) : undefined;
  const hint = nearest === undefined ? '' : `; did you mean ${nearest}?`;
  return new UsageError(`unrecognized arguments: ${unknown.join(' ')}${hint}`, usage);
}

/** The known option nearest to a mistyped one: underscores for dashes first, then the smallest edit distance. */
function nearestFlag(name: string, known: readonly string[]): string | undefined {
  const dashed = name.replaceAll('_', '-');
  if (known.includes(dashed)) return dashed;
  const nearest = closest(dashed, known);
  return distance(dashed, nearest) <= Math.max(2, name.length / 3) ? nearest : undefined;
}
