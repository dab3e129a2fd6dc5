import { describeFileError } from '@knn-lm/common';
import type { ElementName } from './element-type.js';
import { LINE_END } from './line-scanner.js';
import { PartWriter } from './part-writer.js';
import { scanText, type ScannedPiece, type TextRange } from './text-scan.js';
import { WordCounter } from './word-counter.js';
import { WordTable, type WordTableArrays } from './word-table.js';

/** Count the words of a range. */
export interface CountJob {
  readonly kind: 'count';
  readonly range: TextRange;
}

/** Encode a range: ids to one file, the size of each sentence (int32) to another. */
export interface EncodeJob {
  readonly kind: 'encode';
  readonly range: TextRange;
  /** The dictionary's words. */
  readonly words: WordTableArrays;
  readonly element: ElementName;
  readonly bias: 0 | 1;
  readonly tokensPath: string;
  readonly sizesPath: string;
}

/** A part of preprocessing that can run in any thread. */
export type TextJob = CountJob | EncodeJob;

/** What a {@link CountJob} gives. */
export interface CountResult {
  readonly words: WordTableArrays;
  readonly counts: Float64Array;
}

/** What an {@link EncodeJob} gives. */
export interface EncodeResult {
  readonly sentences: number;
  readonly tokens: number;
  /** Words that the dictionary does not have. */
  readonly replaced: number;
}

/** How a job is watched and stopped. */
export interface JobControl {
  readonly signal?: AbortSignal | undefined;
  /** Called with the bytes read since the last call. */
  readonly onBytes?: (byteCount: number) => void;
}

/** Runs a job in this thread. */
export function runTextJob(job: TextJob, control: JobControl): Promise<CountResult | EncodeResult> {
  return job.kind === 'count' ? runCountJob(job, control) : runEncodeJob(job, control);
}

async function runCountJob(job: CountJob, control: JobControl): Promise<CountResult> {
  const counter = new WordCounter();
  for await (const { scanner, bytes } of scanWatched(job.range, control)) counter.count(scanner, bytes);
  return { words: counter.table.arrays, counts: counter.counts.slice() };
}

const UNK = 3;
const EOS = 2;

async function runEncodeJob(job: EncodeJob, control: JobControl): Promise<EncodeResult> {
  const table = new WordTable(job.words);
  let replaced = 0;
  const writer = await PartWriter.create(job, job);
  try {
    for await (const { scanner, bytes } of scanWatched(job.range, control)) {
      const { starts, ends, hashes, count } = scanner;
      for (let i = 0; i < count; i++) {
        if (starts[i] === LINE_END) {
          writer.push(EOS);
          writer.endSentence();
          continue;
        }
        const id = table.find(bytes, starts[i], ends[i], hashes[i]);
        if (id < 0) replaced++;
        writer.push(id < 0 ? UNK : id);
      }
      await writer.flush();
    }
    return { sentences: writer.sentences, tokens: writer.tokens, replaced };
  } catch (cause) {
    throw describeFileError(cause, job.tokensPath, 'write the dataset');
  } finally {
    await writer.close();
  }
}

async function* scanWatched(range: TextRange, { signal, onBytes }: JobControl): AsyncGenerator<ScannedPiece> {
  let before = 0;
  for await (const piece of scanText(range, signal)) {
    yield piece;
    onBytes?.(piece.doneBytes - before);
    before = piece.doneBytes;
  }
}
