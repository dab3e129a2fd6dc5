/** Values that belong to an error: what was found, what was expected, where. */
export type ErrorDetails = Readonly<Record<string, string | number | bigint | boolean | null | undefined>>;

/** What an error may carry beside its code and message. */
export interface KnnLmErrorOptions {
  /** What the reader can do about it, as one sentence. */
  readonly hint?: string;
  /** The values that were wrong: file, byte offset, found, expected. */
  readonly details?: ErrorDetails;
  /** The error that caused this one. */
  readonly cause?: unknown;
}

/**
 * The base class of every error that these packages throw on purpose.
 *
 * The message says what was wrong, with the value and the place; {@link KnnLmError.hint} says what to do;
 * {@link KnnLmError.code} never changes between releases, so programs can switch on it.
 *
 * @example
 * ```ts
 * try {
 *   await openSomething(path);
 * } catch (error) {
 *   if (error instanceof KnnLmError && error.code === 'IDX_TRUNCATED') console.error(error.hint);
 * }
 * ```
 */
export class KnnLmError extends Error {
  /** The class's name. */
  override readonly name: string = 'KnnLmError';
  /** Stable, upper-case identifier such as `IDX_TRUNCATED`. */
  readonly code: string;
  /** What the reader can do about it. */
  readonly hint: string | undefined;
  /** The values that were wrong. */
  readonly details: ErrorDetails;

  /**
   * Makes an error.
   *
   * @param code - stable identifier, upper case with underscores
   * @param message - what was wrong, with the value and the place
   * @param options - hint, details and cause
   */
  constructor(code: string, message: string, options: KnnLmErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details ?? {};
  }
}

/** Thrown when work was cancelled through an `AbortSignal`. What was committed before stays. */
export class CancelledError extends KnnLmError {
  /** `CancelledError`. */
  override readonly name: string = 'CancelledError';

  /**
   * Makes an error.
   *
   * @param message - what was stopped, and what is kept
   * @param options - hint (how to go on), details and cause
   */
  constructor(message = 'stopped before the end', options: KnnLmErrorOptions = {}) {
    super('CANCELLED', message, options);
  }
}

/**
 * Throws {@link CancelledError} if the signal has fired.
 *
 * @param signal - the signal, or nothing
 * @param message - what was stopped
 */
export function throwIfAborted(signal: AbortSignal | undefined, message?: string): void {
  if (signal?.aborted) throw new CancelledError(message, { cause: signal.reason });
}
