import type { FileHandle } from 'node:fs/promises';
import { describeFileError, writeFileAtomic } from '@knn-lm/common';

/** Text that is gathered before it is written. */
const bufferCharacters = 2 ** 20;

/** Writes JSON lines to a file; {@link writeJsonLines} makes it. */
export interface JsonLinesWriter {
  /** Lines so far. */
  readonly lines: number;
  /** Appends an object as one line; wait for it, so that memory does not fill where the disk is slow. */
  write(line: object): Promise<void>;
}

/**
 * Writes a file of JSON lines, which gets its name when all of it is there: after an error or a stop, what was there
 * before is untouched. Memory: a megabyte.
 *
 * @param path - the file
 * @param produce - writes the lines
 * @returns what `produce` returns
 * @throws `KnnLmError` `FILE_…` when it cannot be written, and whatever `produce` throws
 */
export async function writeJsonLines<Result>(
  path: string,
  produce: (writer: JsonLinesWriter) => Promise<Result>,
): Promise<Result> {
  let result: { readonly value: Result } | undefined;
  try {
    await writeFileAtomic(path, async (file) => {
      const writer = new BufferedLines(file);
      result = { value: await produce(writer) };
      await writer.flush();
    });
  } catch (cause) {
    throw describeFileError(cause, path, 'write the file');
  }
  return (result as { readonly value: Result }).value;
}

class BufferedLines implements JsonLinesWriter {
  lines = 0;
  readonly #file: FileHandle;
  #text = '';

  constructor(file: FileHandle) {
    this.#file = file;
  }

  async write(line: object): Promise<void> {
    this.#text += `${JSON.stringify(line)}\n`;
    this.lines++;
    if (this.#text.length >= bufferCharacters) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = '';
    await this.#file.appendFile(text);
  }
}
