import { open, stat } from 'node:fs/promises';
import glob from 'fast-glob';
import { describeFileError } from '@knn-lm/common';
import { BinarizerError } from './errors.js';
import { isGzip, STANDARD_INPUT } from './text-source.js';

/** A text file that is to be read. */
export interface InputFile {
  readonly path: string;
  /** Bytes when it was looked at; `undefined` for a stream or a compressed file, which is read from beginning to end. */
  readonly size: number | undefined;
}

/** The text of one split: one file, or several that a pattern found, read one after the other. */
export interface InputText {
  /** As given: a path, a pattern, or `-` for standard input. */
  readonly name: string;
  readonly files: readonly InputFile[];
}

/**
 * Finds the files of an input: the file of that name, or, if there is none and the name is a pattern (`corpus/*.txt`),
 * the files that it matches in the order of their names; `-` is standard input.
 *
 * @param name - path or pattern
 * @throws {@link BinarizerError} `TEXT_NOT_FOUND` when a pattern matches nothing
 * @throws KnnLmError `FILE_…` when the file is missing or is a folder
 */
export async function findInput(name: string): Promise<InputText> {
  if (name === STANDARD_INPUT) return { name, files: [{ path: name, size: undefined }] };
  const single = await stat(name).catch(() => undefined);
  if (single === undefined && glob.isDynamicPattern(name)) {
    const paths = await glob(name, { onlyFiles: true });
    if (paths.length === 0) throw nothingMatches(name);
    paths.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    return { name, files: await Promise.all(paths.map(inspect)) };
  }
  return { name, files: [await inspect(name)] };
}

async function inspect(path: string): Promise<InputFile> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' });
    const isPlain = stats.isFile() && !(await beginsLikeGzip(path));
    return { path, size: isPlain ? stats.size : undefined };
  } catch (cause) {
    throw describeFileError(cause, path, 'read the text');
  }
}

/** The magic bytes decide, not the name: they are not UTF-8, so that no text begins with them. */
async function beginsLikeGzip(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const magic = new Uint8Array(2);
    await file.read(magic, 0, 2, 0);
    return isGzip(magic);
  } finally {
    await file.close();
  }
}

function nothingMatches(pattern: string): BinarizerError {
  return new BinarizerError('TEXT_NOT_FOUND', `${pattern}: no file matches this pattern`, {
    hint: 'Check the path, and quote the pattern so that the shell leaves it alone.',
    details: { path: pattern },
  });
}
