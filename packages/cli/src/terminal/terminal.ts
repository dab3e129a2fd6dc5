import type { CommandContext } from './command.js';
import { FairseqLog } from './log.js';
import { ProgressReporter, progressStyle } from './progress.js';

/** The fairseq flags that decide what a command prints; those that a command does not have are left out. */
export interface TerminalFlags {
  /** `--no-progress-bar`. */
  readonly no_progress_bar?: unknown;
  /** `--log-format`. */
  readonly log_format?: unknown;
  /** `--log-file`. */
  readonly log_file?: unknown;
  /** `--quiet`. */
  readonly quiet?: unknown;
}

/** What a command prints with: the log on standard output (standard error under `--json`), the progress on standard error. */
export interface Terminal {
  /** Log lines; a progress bar gives way to them. */
  readonly log: FairseqLog;
  /** Progress with rate and ETA. */
  readonly progress: ProgressReporter;
}

/**
 * Makes log and progress as fairseq's flags ask for them.
 *
 * @param context - says whether standard output belongs to the result
 * @param flags - option values by name
 */
export function openTerminal({ json }: Pick<CommandContext, 'json'>, flags: TerminalFlags = {}): Terminal {
  const logFormat = typeof flags.log_format === 'string' ? flags.log_format : null;
  const progress = new ProgressReporter(
    progressStyle({ noProgressBar: flags.no_progress_bar === true, logFormat }),
  );
  const log = new FairseqLog({
    quiet: flags.quiet === true,
    descriptor: json ? 2 : 1,
    file: typeof flags.log_file === 'string' ? flags.log_file : undefined,
    beforeLine: () => progress.close(),
  });
  return { log, progress };
}
