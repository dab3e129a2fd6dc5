import { rename, rm } from 'node:fs/promises';
import {
  CancelledError,
  describeFileError,
  temporaryName,
  throwIfAborted,
  type TaskOptions,
} from '@knn-lm/common';
import { checkInteger } from './arguments.js';
import { describeNativeError, FaissError } from './errors.js';
import { checkIndexFile, readIndexFileHeader } from './index-file.js';
import { loadAddon } from './native.js';
import type { CallOptions } from './index-options.js';

/** One of the index files that {@link mergeIndexFiles} joins. */
export interface IndexPart {
  /** The file: an inverted file, trained, with lists in it or in a file of their own. */
  readonly path: string;
  /** Its ids count from here: each is at least this, and less than this and its number of vectors. @default 0 */
  readonly firstId?: number | undefined;
}

/** How index files are joined. */
export interface MergeOptions extends CallOptions, Pick<TaskOptions, 'onProgress'> {
  /**
   * Where the inverted lists go: a file of their own, which the index names by its path as given here, and which is looked
   * for beside the index, too. @default within the index file
   */
  readonly listsPath?: string | undefined;
  /** Joins kinds of index, too, that cannot be checked first. @default false */
  readonly trusted?: boolean | undefined;
}

const PROGRESS_INTERVAL_MS = 200;

/**
 * Joins index files that were built from one trained index: the result is the file that adding all vectors to that index,
 * part after part, would have given, byte for byte. Both files appear whole: written under temporary names, synced, renamed.
 *
 * The lists are copied piece by piece; memory holds two coarse quantizers and 24 bytes for each list of each part, whatever
 * the sizes of the files. A file of lists appears before the index that names it.
 *
 * @param parts - the files, in the order of their ids
 * @param path - final name of the index; a file of this name is replaced
 * @throws {@link FaissError} `FAISS_MERGE_TRAINING` when they are not from one trained index; `FAISS_MERGE_IDS` when an id is
 * not where it should be; `FAISS_MERGE_KIND` for kinds without lists that can be mapped (fast scan, exact);
 * `FAISS_INDEX_FORMAT`, `FAISS_LISTS_FILE`, `FILE_…`
 * @throws `CancelledError`; nothing is left then
 *
 * @example
 * ```ts
 * await mergeIndexFiles([{ path: 'a.index' }, { path: 'b.index', firstId: 500_000 }], 'whole.index');
 * ```
 */
export async function mergeIndexFiles(
  parts: readonly IndexPart[],
  path: string,
  options: MergeOptions = {},
): Promise<void> {
  if (parts.length === 0)
    throw new FaissError('FAISS_ARGUMENT', 'no index files to join', { hint: 'Give one or more.' });
  const { signal, listsPath } = options;
  const firstIds = Float64Array.from(parts, ({ firstId = 0 }) => {
    checkInteger('the first id', firstId, 0, Number.MAX_SAFE_INTEGER);
    return firstId;
  });
  throwIfAborted(signal, 'stopped before the index files were joined');
  for (const part of parts) checkIndexFile(part.path, options.trusted ?? false);
  const addon = loadAddon();
  const control = new addon.Control();
  const cancel = (): void => control.cancel();
  signal?.addEventListener('abort', cancel);
  const total = listsOf(parts[0].path);
  const report = (): void =>
    options.onProgress?.({ stage: 'merge', done: control.iterations, total, unit: 'lists' });
  const timer = setInterval(report, PROGRESS_INTERVAL_MS);
  const temporary = temporaryName(path);
  const temporaryLists = listsPath === undefined ? '' : temporaryName(listsPath);
  try {
    const paths = parts.map((part) => part.path);
    await addon.merge(
      paths,
      firstIds,
      temporary,
      temporaryLists,
      listsPath ?? '',
      options.threads ?? 0,
      control,
    );
    if (listsPath !== undefined) await rename(temporaryLists, listsPath);
    await rename(temporary, path);
    report();
  } catch (cause) {
    for (const left of [temporary, temporaryLists]) {
      if (left !== '') await rm(left, { force: true }).catch(() => undefined);
    }
    const error = describeNativeError(cause, 'join the index files', path);
    throw error instanceof CancelledError && signal?.aborted
      ? new CancelledError(error.message, { cause: signal.reason })
      : describeFileError(error, path, 'join the index files');
  } finally {
    clearInterval(timer);
    signal?.removeEventListener('abort', cancel);
  }
}

/** Steps of the progress; unknown for kinds whose files are not looked into. */
function listsOf(path: string): number | undefined {
  const header = readIndexFileHeader(path);
  return 'centroids' in header ? header.centroids : undefined;
}
