import { CancelledError, KnnLmError } from '@knn-lm/common';
import { writeAll } from './log.js';
import { UsageError } from './usage-error.js';

/** A command: arguments in, exit status out; it stops when the signal fires. */
export type Command = (argv: readonly string[], signal: AbortSignal) => Promise<number | undefined>;

/** One Ctrl-C may arrive twice: from the terminal, and passed on by npm or timeout. */
const oneKeyPressMs = 500;

/**
 * Runs a command as the process: Ctrl-C stops it cleanly (a second one at once), errors become one message for people
 * and an exit status: 1 for failures, 2 for usage errors, 130 after Ctrl-C.
 *
 * @param program - name shown in messages
 * @param command - what to run
 * @param argv - arguments without program and script
 */
export async function runAsProcess(
  program: string,
  command: Command,
  argv: readonly string[],
): Promise<void> {
  const controller = new AbortController();
  let interruptedMs: number | undefined;
  const stop = (signalName: NodeJS.Signals) => {
    if (interruptedMs !== undefined) {
      if (performance.now() - interruptedMs > oneKeyPressMs) process.exit(130);
      return;
    }
    interruptedMs = performance.now();
    writeAll(
      2,
      `\n${program}: ${signalName} received, finishing the current batch (once more to stop at once)\n`,
    );
    controller.abort(signalName);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  try {
    process.exitCode = (await command(argv, controller.signal)) ?? 0;
  } catch (error) {
    process.exitCode = reportError(program, error, interruptedMs !== undefined);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

function reportError(program: string, error: unknown, interrupted: boolean): number {
  if (error instanceof UsageError) {
    writeAll(2, `${error.usage}${program}: error: ${error.message}\n`);
    return 2;
  }
  if (error instanceof CancelledError && interrupted) {
    writeAll(2, `${program}: ${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`);
    return 130;
  }
  if (error instanceof KnnLmError) {
    const hint = error.hint === undefined ? '' : `  ${error.hint}\n`;
    writeAll(2, `${program}: error: ${error.message}\n${hint}  [${error.code}]\n`);
    return 1;
  }
  // Not foreseen: the stack helps whoever mends it.
  writeAll(
    2,
    `${program}: unexpected error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  return 1;
}
