/**
 * What an option does here:
 * - `used`: what it does in the Python system;
 * - `ignored`: accepted, without effect on the result; a line says so when it is given;
 * - `training`: left over from training and distributed runs in the Python system; accepted in silence;
 * - `gpu`: asks for a GPU or its arithmetic; one line says that the CPU is used.
 */
export type OptionEffect = 'used' | 'ignored' | 'training' | 'gpu';

/** One command-line option, as argparse takes it. */
export interface Option {
  /** All spellings, the long one first. */
  readonly flags: readonly string[];
  /** `flag` takes no value and is false by default. */
  readonly type: 'int' | 'float' | 'str' | 'flag';
  /** Value when the option is not given. */
  readonly default: OptionValue;
  /** What the option does. */
  readonly effect: OptionEffect;
  /** One line for `--help`. */
  readonly help: string;
  /** The values allowed. */
  readonly choices?: readonly string[] | undefined;
  /** `?` for an optional value, `+` for a list. */
  readonly nargs?: '?' | '+' | undefined;
  /** Value when an option with `nargs: '?'` stands alone. */
  readonly const?: OptionValue | undefined;
  /** The command does not start without it. */
  readonly required?: boolean | undefined;
}

/** A parsed value. */
export type OptionValue = string | number | boolean | null | readonly string[];

type Extra = Partial<Pick<Option, 'choices' | 'nargs' | 'const' | 'required' | 'effect'>>;

function option(
  type: Option['type'],
  flags: string,
  value: OptionValue,
  help: string,
  extra: Extra = {},
): Option {
  return { flags: flags.split(' '), type, default: value, help, effect: 'used', ...extra };
}

/** An option whose value is a whole number. */
export const int = (flags: string, value: number | null, help: string, extra?: Extra): Option =>
  option('int', flags, value, help, extra);

/** An option whose value is a number. */
export const float = (flags: string, value: number | null, help: string, extra?: Extra): Option =>
  option('float', flags, value, help, extra);

/** An option whose value is text. */
export const str = (flags: string, value: string | null, help: string, extra?: Extra): Option =>
  option('str', flags, value, help, extra);

/** An option without a value. */
export const flag = (flags: string, help: string, extra?: Extra): Option =>
  option('flag', flags, false, help, extra);

/**
 * Options without effect, from a compact table: one line each, `--flag type default`. Flags have no type.
 *
 * @param effect - why they have none
 * @param table - the lines
 */
export function withoutEffect(effect: Exclude<OptionEffect, 'used'>, table: string): Option[] {
  const help = {
    ignored: 'accepted; no effect here',
    training: 'accepted; for training only',
    gpu: 'accepted; the CPU is used',
  }[effect];
  return table
    .trim()
    .split('\n')
    .map((line) => {
      const [flags, type = 'flag', value = 'None'] = line.trim().split(/ {2,}/);
      return option(
        type as Option['type'],
        flags,
        type === 'flag' ? false : parseDefault(type, value),
        help,
        { effect },
      );
    });
}

function parseDefault(type: string, value: string): OptionValue {
  if (value === 'None') return null;
  return type === 'str' ? value : Number(value);
}

/** The name under which argparse keeps an option's value: `--keys-dtype` is `keys_dtype`. */
export function destination(option: Option): string {
  const long = option.flags.find((name) => name.startsWith('--')) ?? option.flags[0];
  return long.replace(/^-+/, '').replaceAll('-', '_');
}
