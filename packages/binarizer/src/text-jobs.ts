import { open, type FileHandle } from 'node:fs/promises';
import { describeFileError, throwIfAborted } from '@knn-lm/common';
import type { DatasetPart, Storage } from './dataset-writer.js';
import { elementBytes, encodeTokens } from './element-type.js';
import { firstFailure, type JobFailure, type JobQueue } from './job-queue.js';
import type { TokenizerTask } from './model-encoding.js';
import { PartWriter } from './part-writer.js';
import type { SharedWords } from './text-kernel.js';
import { TextNumbering, type NumberedPiece, type ScanControl, type ThreadCounts } from './text-numbering.js';
import type { TextRange } from './text-source.js';

/** A table of words, in which unknown ones get ids and all are counted, or are `<unk>`; or a model's tokenizer. */
export type IdSource =
  { readonly words: SharedWords; readonly isCounting: boolean } | { readonly tokenizer: TokenizerTask };

/** Find the words of ranges of a text, give them ids, and keep these in a file. */
export interface TokenizeTask {
  readonly kind: 'tokenize';
  /** The jobs. */
  readonly ranges: readonly TextRange[];
  /** Where ids come from. */
  readonly idsFrom: IdSource;
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
  /** How often the thread met each word, in this task and in those before on the same table. */
  readonly counts: ThreadCounts | undefined;
  readonly failure: JobFailure | undefined;
}

/** Bring ids to their places in a `.bin` file. */
export interface PlaceTask {
  readonly kind: 'place';
  /** The jobs. */
  readonly runs: readonly TokenRun[];
  /** Files of ids (int32). */
  readonly sources: readonly string[];
  /** What ids become, in memory that threads share; -1 is replaced by `<unk>`. None where they stay. */
  readonly ids: Int32Array | undefined;
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
  /** Ids that were replaced. */
  readonly replaced: number;
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
  /** The thread's access to tables of words, by their keys. */
  readonly numberings: Map<number, TextNumbering>;
}

/** Does this thread's share of a task. */
export function runTextTask(task: TextTask, share: ThreadShare): Promise<TokenizeResult | PlaceResult> {
  return task.kind === 'tokenize' ? tokenizeRanges(task, share) : placeRuns(task, share);
}

async function tokenizeRanges(
  { ranges, idsFrom, parts }: TokenizeTask,
  { thread, queue, control, numberings }: ThreadShare,
): Promise<TokenizeResult> {
  const part = parts?.[thread];
  const writer =
    part === undefined ? undefined : await PartWriter.create(part, { element: 'int32', bias: 0 });
  const done: TokenizedRange[] = [];
  try {
    if ('tokenizer' in idsFrom) {
      // Only then: a thread that has no use for it begins a fifth sooner.
      const { ModelEncoder } = await import('./model-encoding.js');
      const model = await ModelEncoder.create(idsFrom.tokenizer);
      const failure = await queue.run(async (range) => {
        if (writer !== undefined)
          done.push({ range, ...(await model.encode(ranges[range], writer, control)) });
      });
      await writer?.finish();
      return { ranges: done, counts: undefined, failure };
    }
    const { words, isCounting } = idsFrom;
    const numbering = numberings.get(words.key) ?? new TextNumbering(words);
    numberings.set(words.key, numbering);
    const failure = await queue.run(async (range) => {
      const pieces = numbering.number(ranges[range], isCounting, control);
      done.push({ range, ...(await keepIds(pieces, writer)) });
    });
    await writer?.finish();
    return { ranges: done, counts: isCounting ? numbering.counts : undefined, failure };
  } finally {
    await writer?.close();
  }
}

/** Writes the ids of a range, if they are to be kept. */
async function keepIds(
  pieces: AsyncIterable<NumberedPiece>,
  writer: PartWriter | undefined,
): Promise<Omit<TokenizedRange, 'range'>> {
  let [sentences, tokens, replaced] = [0, 0, 0];
  // Tokens of the sentence that goes on.
  let open = 0;
  for await (const piece of pieces) {
    const { ids, sizes, openTokens } = piece;
    await writer?.add(ids);
    if (sizes.length > 0) {
      const first = open + sizes[0];
      await writer?.endSentence(first);
      await writer?.endSentences(sizes.subarray(1));
      open = openTokens;
    } else {
      open += openTokens;
    }
    sentences += sizes.length;
    tokens += ids.length;
    replaced += piece.replaced;
  }
  return { sentences, tokens, replaced };
}

/** Ids brought to their places at a time. */
const PLACE_TOKENS = 2 ** 17;

const UNK = 3;

/** Jobs of a thread at a time: while ids of one are read or written, those of the other are mapped. */
const JOBS_AT_A_TIME = 2;

async function placeRuns(task: PlaceTask, share: ThreadShare): Promise<PlaceResult> {
  const files: FileHandle[] = [];
  const opened = async (path: string, flags: string) => {
    const file = await open(path, flags);
    files.push(file);
    return file;
  };
  const describe = (cause: unknown): never => {
    throw describeFileError(cause, task.target, 'write the dataset');
  };
  try {
    const target = await opened(task.target, 'r+').catch(describe);
    const sources: FileHandle[] = [];
    for (const path of task.sources) sources.push(await opened(path, 'r').catch(describe));
    let replaced = 0;
    const placing = Array.from({ length: JOBS_AT_A_TIME }, () => {
      const buffer = new Int32Array(PLACE_TOKENS);
      return share.queue.run(async (job) => {
        const run = task.runs[job];
        const files = { source: sources[run.source], target };
        const placed = placeRun(run, files, task.ids, buffer, task.storage, share.control);
        const replacedHere = await placed.catch(describe);
        replaced += replacedHere;
      });
    });
    const failure = firstFailure(await Promise.all(placing));
    return { replaced, failure };
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
): Promise<number> {
  let replaced = 0;
  for (let done = 0; done < run.tokens;) {
    throwIfAborted(signal, 'stopped while writing the dataset');
    const ids = buffer.subarray(0, Math.min(buffer.length, run.tokens - done));
    await readFully(source, new Uint8Array(ids.buffer, 0, ids.byteLength), (run.from + done) * 4);
    if (newIds !== undefined) replaced += mapIds(ids, newIds);
    const bytes = encodeTokens(ids, element, bias);
    await writeFully(target, bytes, (run.to + done) * elementBytes[element]);
    onBytes?.(bytes.length);
    done += ids.length;
  }
  return replaced;
}

/** Replaces ids by new ones; returns how many of them were `<unk>`'s, in place of -1. */
function mapIds(ids: Int32Array, newIds: Int32Array): number {
  let replaced = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = newIds[ids[i]];
    // The sign: 1 of -1. A branch that is rarely taken costs more.
    replaced += id >>> 31;
    ids[i] = id < 0 ? UNK : id;
  }
  return replaced;
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
