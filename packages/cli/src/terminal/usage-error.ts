/** A command line that cannot be understood: usage and message go to standard error, the exit status is 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  /** The command's usage, as argparse prints it. */
  readonly usage: string;

  /**
   * @param message - what is wrong with the command line
   * @param usage - the command's usage
   */
  constructor(message: string, usage: string) {
    super(message);
    this.usage = usage;
  }
}
