/** Bytes of the end of a line that are kept when there is no end of line. */
const maxLine = 4096;

/** Follows what a command writes on standard error: its last line of progress, and the error that ends it. */
export class OutputWatch {
  #rest = '';
  #progress: string | undefined;
  #error: string | undefined;
  #code: string | undefined;

  /** Takes the next piece of output. */
  add(chunk: string): void {
    const lines = (this.#rest + chunk).split(/[\n\r]/);
    this.#rest = (lines.pop() ?? '').slice(-maxLine);
    for (const line of lines) this.#line(line.trimEnd());
  }

  #line(line: string): void {
    if (/^[\w -]+: [\d,.]+ of [\d,.]+ /.test(line)) this.#progress = line;
    const code = /^ {2}\[([A-Z][A-Z0-9_]+)\]$/.exec(line)?.[1];
    if (code !== undefined) this.#code = code;
    else if (/\berror: /i.test(line)) {
      this.#error = line;
      this.#code = undefined;
    }
  }

  /** The last line of progress. */
  get progress(): string | undefined {
    return this.#progress;
  }

  /** The last line that says what went wrong. */
  get error(): string | undefined {
    return this.#error;
  }

  /** The stable code of that error. */
  get code(): string | undefined {
    return this.#code;
  }
}
