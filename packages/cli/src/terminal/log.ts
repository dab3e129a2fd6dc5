import { appendFileSync, writeSync } from 'node:fs';
import type { Logger } from '@knn-lm/common';

const levels = { DEBUG: 10, INFO: 20, WARNING: 30, ERROR: 40, CRITICAL: 50 } as const;

/** How a {@link FairseqLog} behaves. */
export interface LogOptions {
  /** Lines are appended to this file too. */
  readonly file?: string | undefined;
  /** Only the lines that scripts parse. */
  readonly quiet?: boolean | undefined;
  /** Where the lines go: 1 is standard output, 2 standard error. @defaultValue 1 */
  readonly descriptor?: 1 | 2 | undefined;
  /** Called before each line, to make room for it. */
  readonly beforeLine?: (() => void) | undefined;
}

/**
 * fairseq's log: lines `2024-01-31 12:00:00 | INFO | fairseq_cli.eval_lm | message` on standard output (or standard
 * error), from the level in the environment variable LOGLEVEL on.
 */
export class FairseqLog {
  readonly #options: LogOptions;
  readonly #threshold: number;

  /** @param options - file and quietness */
  constructor(options: LogOptions = {}) {
    this.#options = options;
    const level = (process.env['LOGLEVEL'] ?? 'INFO').toUpperCase();
    this.#threshold = level in levels ? levels[level as keyof typeof levels] : levels.INFO;
  }

  /** A logger whose lines carry the name of one of the Python system's modules. */
  named(name: string): Logger {
    return {
      info: (message) => this.#write('INFO', name, message),
      warn: (message) => this.#write('WARNING', name, message),
    };
  }

  /** Writes a line even when the log is quiet: the results. */
  result(name: string, message: string): void {
    this.#line('INFO', name, message);
  }

  #write(level: keyof typeof levels, name: string, message: string): void {
    if (this.#options.quiet === true && level === 'INFO') return;
    this.#line(level, name, message);
  }

  #line(level: keyof typeof levels, name: string, message: string): void {
    if (levels[level] < this.#threshold) return;
    const line = `${timestamp(new Date())} | ${level} | ${name} | ${message}\n`;
    this.#options.beforeLine?.();
    writeAll(this.#options.descriptor ?? 1, line);
    if (this.#options.file !== undefined) appendFileSync(this.#options.file, line);
  }
}

/** `2024-01-31 12:00:00`, local time. */
export function timestamp(date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/**
 * Writes text to a descriptor before returning, so that the order of lines is kept and none is lost at exit.
 * A closed pipe drops the rest quietly: the work behind a log goes on. A full one is waited for.
 *
 * @returns false when nobody reads any more
 */
export function writeAll(descriptor: number, text: string): boolean {
  let bytes: Uint8Array = Buffer.from(text, 'utf8');
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(descriptor, bytes));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE') return false;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
  return true;
}
