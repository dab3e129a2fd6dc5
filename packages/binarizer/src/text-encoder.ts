import { open, rm } from 'node:fs/promises';
import { describeFileError, temporaryName, type TaskOptions } from '@knn-lm/common';
import { finishDataset, type SizeRun, type Storage } from './dataset-writer.js';
import { elementBytes } from './element-type.js';
import type { TextSummary } from './preprocess-log.js';
import type { TokenRun } from './text-jobs.js';
import type { TextThreads } from './text-threads.js';
import type { TokenizedText } from './tokenized-text.js';
import { waitForAll } from './wait-for-all.js';

/** Ids moved in one job. */
const RUN_TOKENS = 2 ** 22;

/**
 * Writes a tokenized text to `PREFIX.bin` and `PREFIX.idx`.
 *
 * @param text - with the ids of the dictionary, or with ids of its own
 * @param ids - for ids of its own: what they become, in memory that threads share; -1 is replaced by `<unk>`
 * @param prefix - path without suffix
 * @param storage - format
 * @param threads - share the work
 * @param task - signal and progress (`bytes` of the `.bin` file)
 * @param before - does meanwhile what must be done before the files get their names
 * @throws KnnLmError `FILE_…`; CancelledError
 */
export async function encodeText(
  text: TokenizedText,
  ids: Int32Array | undefined,
  prefix: string,
  storage: Storage,
  threads: TextThreads,
  { signal, onProgress }: TaskOptions,
  before: () => Promise<void>,
): Promise<TextSummary> {
  const { parts, ranges } = text;
  const { runs, sizes, sentences, tokens } = layOut(text);
  const target = temporaryName(`${prefix}.bin`);
  const total = tokens * elementBytes[storage.element];
  try {
    await makeFile(target, total);
    const sources = parts.map((part) => part.tokensPath);
    const place = { kind: 'place', runs, sources, ids, target, storage } as const;
    let done = 0;
    const onBytes = (byteCount: number) => {
      done += byteCount;
      onProgress?.({ stage: 'write', done, total, unit: 'bytes' });
    };
    const placed = threads.run(place, runs.length, threads.count, { signal, onBytes });
    await finishDataset(prefix, target, sizes, storage, waitForAll([placed, before()]));
    const replaced = [...ranges, ...(await placed)].reduce((sum, some) => sum + some.replaced, 0);
    return { sentences, tokens, replaced };
  } finally {
    await rm(target, { force: true });
  }
}

/** Where everything is and where it goes: the ranges of a part follow each other there, and in the text all ranges do. */
export function layOut({ parts, ranges }: Pick<TokenizedText, 'parts' | 'ranges'>) {
  const inParts = parts.map(() => ({ tokens: 0, sentences: 0 }));
  const runs: TokenRun[] = [];
  const sizes: SizeRun[] = [];
  const all = { tokens: 0, sentences: 0 };
  for (const { part, tokens, sentences } of ranges) {
    const inPart = inParts[part];
    for (let done = 0; done < tokens; done += RUN_TOKENS) {
      const some = Math.min(RUN_TOKENS, tokens - done);
      runs.push({ source: part, from: inPart.tokens + done, to: all.tokens + done, tokens: some });
    }
    sizes.push({ path: parts[part].sizesPath, from: inPart.sentences, sentences });
    for (const sum of [inPart, all]) {
      sum.tokens += tokens;
      sum.sentences += sentences;
    }
  }
  return { runs, sizes, ...all };
}

async function makeFile(path: string, byteLength: number): Promise<void> {
  try {
    const file = await open(path, 'wx');
    try {
      await file.truncate(byteLength);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw describeFileError(cause, path, 'write the dataset');
  }
}
