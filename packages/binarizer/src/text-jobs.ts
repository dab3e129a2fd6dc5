import { open, type FileHandle } from 'node:fs/promises';
import { describeFileError, throwIfAborted } from '@knn-lm/common';
import type { DatasetPart, Storage } from './dataset-writer.js';
import { elementBytes, encodeTokens } from './element-type.js';
import { firstFailure, type JobFailure, type JobQueue } from './job-queue.js';
import { LINE_END } from './line-scanner.js';
import { ModelEncoder, type TokenizerTask } from './model-encoding.js';
import { PartWriter } from './part-writer.js';
import { scanText, type ScanControl } from './text-scan.js';
import type { TextRange } from './text-source.js';
import { DictionaryNumbering, WordCounter, type WordNumbering } from './word-counter.js';
import type { WordTableArrays } from './word-table.js';

/** Find the words of ranges of a text, give them ids, and keep these in a file. */
export interface TokenizeTask {
  readonly kind: 'tokenize';
  /** The jobs. */
  readonly ranges: readonly TextRange[];
  /** A dictionary's words; without them a thread numbers words as it meets them, and counts them. */
  readonly words: WordTableArrays | undefined;
  /** Gives ids to text instead of words having them. */
  readonly tokenizer: TokenizerTask | undefined;
  /** Where each thread keeps its ids (int32) and the sizes of sentences; nothing is kept without. */
  readonly parts: readonly DatasetPart[] | undefined;
}

/** What became of a range: ids and sizes that follow those of the thread's range before. */
export interface TokenizedRange {
  /** Which. */
  readonly range: number;
  readonly sentences: number;
  readonly tokens: number;
  /** Words that the dictionary does not have. */
  readonly replaced: number;
}

/** What a thread did of a {@link TokenizeTask}. */
export interface TokenizeResult {
  readonly ranges: readonly TokenizedRange[];
  /** The words that the thread numbered, and how often each occurred. */
  readonly words: WordTableArrays;
  readonly counts: Float64Array;
  readonly failure: JobFailure | undefined;
}

/** Bring ids to their places in a `.bin` file. */
export interface PlaceTask {
  readonly kind: 'place';
  /** The jobs. */
  readonly runs: readonly TokenRun[];
  /** Files of ids (int32). */
  readonly sources: readonly string[];
  /** For each of the files what its ids become; none where they stay. */
  readonly ids: readonly Int32Array[] | undefined;
  /** The `.bin` file, which is there. */
  readonly target: string;
  readonly storage: Pick<Storage, 'element' | 'bias'>;
}

/** Ids that lie together in a file and in the dataset. */
export interface TokenRun {
  /** Index of the file. */
  readonly source: number;
  /** First token in the file. */
  readonly from: number;
  /** First token in the dataset. */
  readonly to: number;
  readonly tokens: number;
}

/** What a thread did of a {@link PlaceTask}. */
export interface PlaceResult {
  readonly failure: JobFailure | undefined;
}

/** Work that threads share. */
export type TextTask = TokenizeTask | PlaceTask;

/** What each kind of task gives. */
export interface TaskResults {
  readonly tokenize: TokenizeResult;
  readonly place: PlaceResult;
}

/** A thread's part in a task. */
export interface ThreadShare {
  /** Number of the thread. */
  readonly thread: number;
  /** Numbers of the jobs. */
  readonly queue: JobQueue;
  readonly control: ScanControl;
}

/** Does this thread's share of a task. */
export function runTextTask(task: TextTask, share: ThreadShare): Promise<TokenizeResult | PlaceResult> {
  return task.kind === 'tokenize' ? tokenizeRanges(task, share) : placeRuns(task, share);
}

async function tokenizeRanges(task: TokenizeTask, share: ThreadShare): Promise<TokenizeResult> {
  const counter = new WordCounter();
  const numbering = task.words === undefined ? counter : new DictionaryNumbering(task.words);
  const part = task.parts?.[share.thread];
  const writer =
    part === undefined ? undefined : await PartWriter.create(part, { element: 'int32', bias: 0 });
  const ranges: TokenizedRange[] = [];
  try {
    const model = task.tokenizer && (await ModelEncoder.create(task.tokenizer));
    const failure = await share.queue.run(async (range) => {
      if (model !== undefined && writer !== undefined) {
        ranges.push({ range, ...(await model.encode(task.ranges[range], writer, share.control)) });
        return;
      }
      const replacedBefore = numbering.replaced;
      const found = await tokenize(task.ranges[range], numbering, writer, share.control);
      ranges.push({ range, ...found, replaced: numbering.replaced - replacedBefore });
    });
    await writer?.finish();
    return { ranges, words: counter.table.arrays, counts: counter.counts.slice(), failure };
  } finally {
    await writer?.close();
  }
}

async function tokenize(
  range: TextRange,
  numbering: WordNumbering,
  writer: PartWriter | undefined,
  control: ScanControl,
): Promise<{ sentences: number; tokens: number }> {
  let sentences = 0;
  let tokens = 0;
  let sentenceStart = 0;
  let ids = new Int32Array(0);
  for await (const { scanner, bytes } of scanText(range, control)) {
    const { starts, count } = scanner;
    if (ids.length < count) ids = new Int32Array(starts.length);
    numbering.idsOf(scanner, bytes, ids);
    await writer?.add(ids.subarray(0, count));
    for (let i = 0; i < count; i++) {
      if (starts[i] !== LINE_END) continue;
      const sentenceEnd = tokens + i + 1;
      const written = writer?.endSentence(sentenceEnd - sentenceStart);
      if (written !== undefined) await written;
      sentenceStart = sentenceEnd;
      sentences++;
    }
    tokens += count;
  }
  return { sentences, tokens };
}

/** Ids brought to their places at a time. */
const PLACE_TOKENS = 2 ** 17;

/** Jobs of a thread at a time: while ids of one are read or written, those of the other are mapped. */
const JOBS_AT_A_TIME = 2;

async function placeRuns(task: PlaceTask, share: ThreadShare): Promise<PlaceResult> {
  const files: FileHandle[] = [];
  const opened = async (path: string, flags: string) => {
    const file = await open(path, flags);
    files.push(file);
    return file;
  };
  const describe = (cause: unknown) => {
    throw describeFileError(cause, task.target, 'write the dataset');
  };
  try {
    const target = await opened(task.target, 'r+').catch(describe);
    const sources: FileHandle[] = [];
    for (const path of task.sources) sources.push(await opened(path, 'r').catch(describe));
    const placing = Array.from({ length: JOBS_AT_A_TIME }, () => {
      const buffer = new Int32Array(PLACE_TOKENS);
      return share.queue.run((job) => {
        const run = task.runs[job];
        const newIds = task.ids?.[run.source];
        const files = { source: sources[run.source], target };
        return placeRun(run, files, newIds, buffer, task.storage, share.control).catch(describe);
      });
    });
    return { failure: firstFailure(await Promise.all(placing)) };
  } finally {
    for (const file of files) await file.close();
  }
}

async function placeRun(
  run: TokenRun,
  { source, target }: { readonly source: FileHandle; readonly target: FileHandle },
  newIds: Int32Array | undefined,
  buffer: Int32Array,
  { element, bias }: PlaceTask['storage'],
  { signal, onBytes }: ScanControl,
): Promise<void> {
  for (let done = 0; done < run.tokens;) {
    throwIfAborted(signal, 'stopped while writing the dataset');
    const ids = buffer.subarray(0, Math.min(buffer.length, run.tokens - done));
    await readFully(source, new Uint8Array(ids.buffer, 0, ids.byteLength), (run.from + done) * 4);
    if (newIds !== undefined) for (let i = 0; i < ids.length; i++) ids[i] = newIds[ids[i]];
    const bytes = encodeTokens(ids, element, bias);
    await writeFully(target, bytes, (run.to + done) * elementBytes[element]);
    onBytes?.(bytes.length);
    done += ids.length;
  }
}

async function readFully(file: FileHandle, target: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < target.length;) {
    const { bytesRead } = await file.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) throw Object.assign(new Error('a temporary file became shorter'), { code: 'EIO' });
    done += bytesRead;
  }
}

async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
