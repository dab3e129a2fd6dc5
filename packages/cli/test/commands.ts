import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { repositoryFile } from '@knn-lm/testing';

/** How a command ended. */
export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What {@link run} takes beside the arguments. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Sees standard error as it comes; may send a signal. */
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
}

/** Runs one of the built commands as a user does: as a process of its own. */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const script = repositoryFile('packages', 'cli', 'bin', `${program}.js`);
  const child = spawn(process.execPath, [script, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    options.onStderr?.(stderr, (signal) => child.kill(signal));
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

/** Runs a command that must succeed; what it printed is in the message otherwise. */
export async function runOk(
  program: string,
  args: readonly string[],
  options?: RunOptions,
): Promise<Finished> {
  const finished = await run(program, args, options);
  if (finished.status !== 0) {
    throw new Error(`${program} ended with ${finished.status}\n${finished.stdout}\n${finished.stderr}`);
  }
  return finished;
}

/** A folder that is gone after the tests of the file. */
export async function scratchFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'knn-lm-cli-'));
  afterAll(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Loss and perplexity of an evaluation's last line. */
export function lossOf({ stdout }: Finished): { lossBase2: number; perplexity: number } {
  const match = /Loss \(base 2\): (\d+\.\d{4}), Perplexity: (\d+\.\d{2})\n$/.exec(stdout);
  if (match === null) throw new Error(`no loss at the end of: ${stdout}`);
  return { lossBase2: Number(match[1]), perplexity: Number(match[2]) };
}

/** The messages of fairseq's log lines, without time, level and name. */
export function messages({ stdout }: Finished): string[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split(' | ').slice(3).join(' | '));
}
