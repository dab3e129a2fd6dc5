import { CancelledError, KnnLmError } from '@knn-lm/common';
import { jsonRequested, parseArguments } from '../options/parse.js';
import type { Invocation } from './command.js';
import { effectiveOptions, printError, printResult } from './json-output.js';
import { writeAll } from './log.js';
import { UsageError } from './usage-error.js';

/** One Ctrl-C may arrive twice: from the terminal, and passed on by npm or timeout. */
const oneKeyPressMs = 500;

/**
 * Runs a command as the process: Ctrl-C stops it cleanly (a second one at once), errors become one message for people
 * and an exit status: 1 for failures, 2 for usage errors, 130 after Ctrl-C. With `--json` the result, or the error, is
 * one JSON object on standard output too.
 *
 * @param program - name shown in messages
 * @param invocation - what to run
 */
export async function runAsProcess(program: string, invocation: Invocation): Promise<void> {
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
  const json = jsonRequested(invocation.argv);
  try {
    process.exitCode = await runCommand(invocation, json, controller.signal);
  } catch (error) {
    if (json) printError(invocation.name, error);
    process.exitCode = reportError(program, error, interruptedMs !== undefined);
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

async function runCommand(
  { name, argv, load }: Invocation,
  json: boolean,
  signal: AbortSignal,
): Promise<number> {
  const { commandLine, run } = await load();
  const parsed = parseArguments(commandLine, argv);
  const print = json ? () => true : (text: string) => writeAll(1, text);
  const result = await run(parsed, { signal, json, print });
  if (json) printResult(name, effectiveOptions(commandLine, parsed), result);
  return 'ok' in result && result.ok === false ? 1 : 0;
}

function reportError(program: string, error: unknown, interrupted: boolean): number {
  if (error instanceof UsageError) {
    const message = error.message === '' ? '' : `${program}: error: ${error.message}\n`;
    writeAll(2, `${error.usage}${message}`);
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
