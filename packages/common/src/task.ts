/** One report of how far a long task is. */
export interface Progress {
  /** Which part of the task, in a few words: `keys`, `train`, `add`. */
  readonly stage: string;
  /** Units done so far. */
  readonly done: number;
  /** Units in all; `undefined` when it cannot be known. */
  readonly total: number | undefined;
  /** What is counted: `tokens`, `vectors`, `bytes`, `iterations`. */
  readonly unit: string;
}

/** Receives the messages that a person may want to read. Libraries print nothing themselves. */
export interface Logger {
  /** Something worth knowing. */
  info(message: string): void;
  /** Something that may be a mistake. */
  warn(message: string): void;
}

/** What every long task takes: a way to stop it, to watch it, and to hear from it. */
export interface TaskOptions {
  /** Stops the task between two units of work; it then rejects with `CancelledError`. */
  readonly signal?: AbortSignal | undefined;
  /** Called often and cheaply; the receiver decides how often to show it. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Receives messages; nothing is logged without it. */
  readonly logger?: Logger | undefined;
}

/** A logger that drops everything. */
export const silentLogger: Logger = { info() {}, warn() {} };
