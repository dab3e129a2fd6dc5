import type { TaskOptions } from '@knn-lm/common';
import { partPaths, removeParts, type DatasetPart } from './dataset-writer.js';
import type { InputText } from './input-files.js';
import type { SharedTable } from './shared-table.js';
import type { IdSource, TokenizeResult, TokenizedRange } from './text-jobs.js';
import type { TokenizerTask } from './model-encoding.js';
import { cutTexts } from './text-ranges.js';
import type { TextThreads } from './text-threads.js';

/** A text's range and the part that holds its ids. */
export interface PartRange extends TokenizedRange {
  /** Index of the part. */
  readonly part: number;
}

/** A text whose words were given ids, which temporary files hold: the text need not be read again. */
export interface TokenizedText {
  /** A file for each thread. */
  readonly parts: readonly DatasetPart[];
  /** What lies where, in the order of the text; of one part the ranges lie one after the other. */
  readonly ranges: readonly PartRange[];
}

/**
 * Words of a dictionary, where what it does not have is `<unk>`; words that get ids as they are met, and are counted; or a
 * model's tokenizer.
 */
export type TextIdSource =
  { readonly words: SharedTable; readonly isCounting: boolean } | { readonly tokenizer: TokenizerTask };

/** How {@link tokenizeText} goes about it. */
export interface TokenizeOptions {
  /** Where temporary files keep ids, as a path without suffix; without it nothing is kept, and words are counted only. */
  readonly keepAt?: string | undefined;
  /** Where ids come from. */
  readonly idsFrom: TextIdSource;
  /** A thread gets at least about so many bytes. */
  readonly leastBytesPerWorker: number;
  /** Progress is reported under this name. */
  readonly stage: string;
}

/**
 * Ranges are much smaller than a thread's share of a long text, so that threads end at about the same time, and still take
 * much longer than it takes to begin one.
 */
const RANGES_PER_THREAD = 64;
const MAX_RANGE_BYTES = 2 ** 23;

function rangeBytesOf(total: number, threadCount: number): number {
  if (threadCount === 1) return MAX_RANGE_BYTES;
  return Math.ceil(Math.min(total / (threadCount * RANGES_PER_THREAD), MAX_RANGE_BYTES));
}

/**
 * Finds the words of a text and gives them ids. Memory: a few megabytes a thread, and the different words.
 *
 * @param text - what to read
 * @param options - where ids come from and go to
 * @param threads - share the work
 * @param task - signal and progress (`bytes`)
 * @throws BinarizerError `TEXT_NOT_UTF8`, `TEXT_NOT_GZIP`
 * @throws KnnLmError `FILE_…`; CancelledError
 */
export async function tokenizeText(
  text: InputText,
  { keepAt, idsFrom, leastBytesPerWorker, stage }: TokenizeOptions,
  threads: TextThreads,
  { signal, onProgress }: TaskOptions,
): Promise<TokenizedText> {
  const total = text.files.reduce((sum, { size = 0 }) => sum + size, 0);
  const threadCount = Math.max(1, Math.min(threads.count, Math.floor(total / leastBytesPerWorker)));
  // Where line ends are a part of the text, there is no place to cut that is known to be right.
  const isCut = !('tokenizer' in idsFrom && idsFrom.tokenizer.keepsNewlines);
  const ranges = cutTexts(text.files, isCut ? rangeBytesOf(total, threadCount) : Infinity);
  const usedThreads = Math.min(threadCount, ranges.length);
  const parts = keepAt === undefined ? undefined : partPaths(keepAt, usedThreads);
  const knownTotal = text.files.some(({ size }) => size === undefined) ? undefined : total;
  let done = 0;
  const onBytes = (byteCount: number) => {
    done += byteCount;
    onProgress?.({ stage, done, total: knownTotal, unit: 'bytes' });
  };
  const control = { signal, onBytes };
  try {
    const forThreads: IdSource =
      'words' in idsFrom ? { words: idsFrom.words.shared, isCounting: idsFrom.isCounting } : idsFrom;
    const task = { kind: 'tokenize', ranges, idsFrom: forThreads, parts } as const;
    const results = await threads.run(task, ranges.length, usedThreads, control);
    if ('words' in idsFrom) {
      for (const [thread, { counts }] of results.entries()) {
        if (counts !== undefined) idsFrom.words.setCounts(thread, counts);
      }
    }
    return { parts: parts ?? [], ranges: inOrder(results) };
  } catch (error) {
    await removeParts(parts ?? []);
    throw error;
  }
}

function inOrder(results: readonly TokenizeResult[]): PartRange[] {
  return results
    .flatMap(({ ranges }, part) => ranges.map((range) => ({ ...range, part })))
    .sort((a, b) => a.range - b.range);
}
