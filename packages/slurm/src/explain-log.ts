import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** The end of a log that is looked at: errors come last. */
const tailBytes = 64 * 1024;

/**
 * Lines that say why a task ended: Slurm's own, the errors of the commands, the shell's and the kernel's words for a
 * process that was killed. (`slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT ... DUE TO TIME LIMIT ***`)
 */
const telling = [
  /slurmstepd[^:]*: error: /,
  /\berror: /i,
  /: (line \d+: )?\S+ (Killed|Segmentation fault|Bus error|Aborted)/,
  /: command not found$/,
  /^Lmod has detected|^ModuleCmd_Load/,
  /\bout of memory\b/i,
];

/**
 * The last line of a log that explains a failure.
 *
 * @param path - the log
 * @returns `undefined` where there is no such line, or no log
 */
export function explainLog(path: string): string | undefined {
  const lines = readTail(path).split('\n');
  return lines.findLast((line) => telling.some((pattern) => pattern.test(line)))?.trim();
}

function readTail(path: string): string {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return '';
  }
  try {
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, tailBytes));
    const count = readSync(file, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString('utf8', 0, count);
  } finally {
    closeSync(file);
  }
}
