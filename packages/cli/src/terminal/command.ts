import type { CommandLine, ParsedArguments } from '../options/parse.js';

/** What a command runs with. */
export interface CommandContext {
  /** Fires on Ctrl-C: the command finishes the current batch and throws `CancelledError`. */
  readonly signal: AbortSignal;
  /** `--json` was given: standard output belongs to the result, everything else goes to standard error. */
  readonly json: boolean;
  /**
   * Writes the result for people to standard output; does nothing under `--json`.
   *
   * @returns false when nobody reads any more
   */
  readonly print: (text: string) => boolean;
}

/** A command: its command line, and what it does. */
export interface Command {
  /** Its options; `--json` is added to all of them. */
  readonly commandLine: CommandLine;
  /**
   * Runs it.
   *
   * @param parsed - the command line
   * @param context - signal and output
   * @returns what `--json` prints, with names like `loss_base2`; `ok: false` in it makes the exit status 1. A value that is
   * iterable but no array is written piece by piece, for results that do not fit into memory.
   */
  readonly run: (parsed: ParsedArguments, context: CommandContext) => Promise<object>;
}

/** A command as it was called. */
export interface Invocation {
  /** Its name in the result: that of `knn-lm COMMAND`. */
  readonly name: string;
  /** Its arguments. */
  readonly argv: readonly string[];
  /** Gives the command: only what is run is imported. */
  readonly load: () => Promise<Command>;
}
