import type { TaskOptions } from '@knn-lm/common';
import type { Dictionary } from './dictionary.js';
import { joinParts, partPaths, removeParts, type Storage } from './dataset-writer.js';
import type { InputText } from './input-files.js';
import type { TextSummary } from './preprocess-log.js';
import { cutTexts } from './text-ranges.js';
import { runTextJobs } from './text-threads.js';
import { WordCounter } from './word-counter.js';
import { WordTable, type WordTableArrays } from './word-table.js';

/** Threads of a task. */
export interface Threads {
  readonly workers: number;
  /** A thread gets at least about so many bytes. */
  readonly leastBytesPerWorker: number;
}

/** Ranges are smaller than a thread's share, so that none is left with a long last one. */
const RANGES_PER_THREAD = 4;

/**
 * Counts the words of texts.
 *
 * @param texts - what to count
 * @param threads - how many
 * @param task - signal and progress (`bytes`)
 * @throws BinarizerError `TEXT_NOT_UTF8`
 */
export async function countWords(
  texts: readonly InputText[],
  threads: Threads,
  task: TaskOptions,
): Promise<WordCounter> {
  const ranges = rangesOf(texts, threads);
  const jobs = ranges.map((range) => ({ kind: 'count', range }) as const);
  const counter = new WordCounter();
  await runTextJobs(jobs, threads.workers, control('count words', ranges, task), ({ words, counts }) =>
    counter.merge(new WordTable(words), counts),
  );
  return counter;
}

/**
 * Encodes a text into `PREFIX.bin` and `PREFIX.idx`.
 *
 * @param text - what to encode
 * @param dictionary - gives the ids
 * @param prefix - path without suffix
 * @param storage - format
 * @param threads - how many
 * @param task - signal and progress (`bytes`)
 * @throws BinarizerError `TEXT_NOT_UTF8`
 */
export async function encodeText(
  text: InputText,
  dictionary: Dictionary,
  prefix: string,
  storage: Storage,
  threads: Threads,
  task: TaskOptions,
): Promise<TextSummary> {
  const ranges = rangesOf([text], threads);
  const parts = partPaths(prefix, ranges.length);
  const words = shared(dictionary.table.arrays);
  try {
    const { element, bias } = storage;
    const jobs = ranges.map(
      (range, i) => ({ kind: 'encode', range, words, element, bias, ...parts[i] }) as const,
    );
    const summary = { sentences: 0, tokens: 0, replaced: 0 };
    await runTextJobs(jobs, threads.workers, control('encode', ranges, task), (result) => {
      summary.sentences += result.sentences;
      summary.tokens += result.tokens;
      summary.replaced += result.replaced;
    });
    await joinParts(prefix, parts, storage);
    return summary;
  } finally {
    await removeParts(parts);
  }
}

function rangesOf(texts: readonly InputText[], { workers, leastBytesPerWorker }: Threads) {
  const parts = workers === 1 ? 1 : workers * RANGES_PER_THREAD;
  const files = texts.flatMap((text) => text.files);
  return cutTexts(files, parts, workers === 1 ? Infinity : leastBytesPerWorker);
}

function control(stage: string, ranges: readonly { start: number; end: number }[], task: TaskOptions) {
  const total = ranges.reduce((sum, range) => sum + range.end - range.start, 0);
  let done = 0;
  return {
    signal: task.signal,
    onBytes: (byteCount: number) => {
      done += byteCount;
      task.onProgress?.({ stage, done, total, unit: 'bytes' });
    },
  };
}

/** The same arrays in memory that all threads read without a copy each. */
function shared(arrays: WordTableArrays): WordTableArrays {
  const copyBytes = new Uint8Array(new SharedArrayBuffer(arrays.bytes.byteLength));
  copyBytes.set(arrays.bytes);
  const offsets = new Uint32Array(new SharedArrayBuffer(arrays.offsets.byteLength));
  offsets.set(arrays.offsets);
  const hashes = new Int32Array(new SharedArrayBuffer(arrays.hashes.byteLength));
  hashes.set(arrays.hashes);
  const slots = new Int32Array(new SharedArrayBuffer(arrays.slots.byteLength));
  slots.set(arrays.slots);
  return { bytes: copyBytes, offsets, hashes, slots, size: arrays.size };
}
