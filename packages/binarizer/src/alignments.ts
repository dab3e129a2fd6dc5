import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeFileAtomic } from '@knn-lm/common';
import { finishDataset, partPaths, removeParts, storageOf } from './dataset-writer.js';
import type { Dictionary } from './dictionary.js';
import { BinarizerError } from './errors.js';
import { findInput } from './input-files.js';
import { PartWriter } from './part-writer.js';
import { shownLanguage, type PreprocessLog } from './preprocess-log.js';
import type { CheckedPreprocessOptions } from './preprocess-options.js';
import { datasetPrefix, inputName } from './preprocess-paths.js';
import { parsePythonInteger } from './python-number.js';
import { readLines } from './decoded-text.js';

/** A word of the source and a word of the target that belong together, by their positions in the line. */
type WordPair = readonly [source: number, target: number];

/** Parses `3-4`. @throws {@link BinarizerError} `ALIGNMENT_FORMAT` */
function parsePair(text: string, path: string, line: number): WordPair {
  const positions = text.split('-').map((part) => Number(parsePythonInteger(part) ?? NaN));
  if (positions.length === 2 && positions.every((position) => position >= 0 && position < 2 ** 31)) {
    return [positions[0], positions[1]];
  }
  throw new BinarizerError(
    'ALIGNMENT_FORMAT',
    `${path}:${line}: '${text}' is no alignment; expected like '0-1'`,
    {
      hint: 'Each line holds pairs of word positions, separated by spaces.',
      details: { path, line, found: text, expected: 'SOURCE-TARGET' },
    },
  );
}

/**
 * Encodes the alignment files that lie beside the texts (`--align-suffix`) into `train.align`, `valid.align` and
 * `test.align`; those that are missing are left out, as in fairseq.
 */
export async function encodeAlignmentFiles(
  options: CheckedPreprocessOptions,
  log: PreprocessLog,
  signal?: AbortSignal,
): Promise<void> {
  const { alignSuffix, trainpref, validpref, testpref, datasetImpl } = options;
  if (!alignSuffix) return;
  // Of text fairseq makes no binary dataset, but of its alignments one in the older format.
  const format = datasetImpl === 'raw' ? 'cached' : datasetImpl;
  for (const [split, prefix] of Object.entries({ train: trainpref, valid: validpref, test: testpref })) {
    const path = `${prefix}.${alignSuffix}`;
    if (!prefix || !existsSync(path)) continue;
    const count = await encodeAlignments(
      path,
      datasetPrefix(`${split}.align`, undefined, options),
      format,
      signal,
    );
    await log.line(`[alignments] ${path}: parsed ${count} alignments`);
  }
}

async function encodeAlignments(
  path: string,
  prefix: string,
  format: 'mmap' | 'cached' | 'lazy',
  signal: AbortSignal | undefined,
): Promise<number> {
  const storage = storageOf(format, undefined);
  const parts = partPaths(prefix, 1);
  const writer = await PartWriter.create(parts[0], storage);
  try {
    let line = 0;
    for await (const words of linesOf(path, signal)) {
      line++;
      await writer.add(Int32Array.from(words.flatMap((word) => parsePair(word, path, line))));
      await writer.endSentence(words.length * 2);
    }
    await writer.finish();
    await writer.close();
    const sizes = [{ path: parts[0].sizesPath, from: 0, sentences: writer.sentences }];
    await finishDataset(prefix, parts[0].tokensPath, sizes, storage);
    return writer.sentences;
  } catch (cause) {
    await writer.close().catch(() => undefined);
    throw cause;
  } finally {
    await removeParts(parts);
  }
}

/**
 * Writes `alignment.SOURCE-TARGET.txt` (`--alignfile`): for each source word the target word that it is aligned with most
 * often in the training text, the earlier one on a tie. Memory: the different pairs.
 */
export async function writeLexicalDictionary(
  options: CheckedPreprocessOptions,
  [source, target = source]: readonly Dictionary[],
  signal?: AbortSignal,
): Promise<void> {
  const { alignfile, trainpref, sourceLang, targetLang, destdir } = options;
  if (!alignfile) return;
  if (!trainpref) {
    throw new BinarizerError('OPTION_MISSING', '--trainpref must be set if --alignfile is specified', {
      hint: 'Give the text that the alignments belong to.',
      details: { option: 'trainpref' },
    });
  }
  const pairs = new Map<number, Map<number, number>>();
  const sources = linesOf(inputName(trainpref, sourceLang), signal);
  const targets = linesOf(inputName(trainpref, targetLang), signal);
  try {
    let line = 1;
    for await (const alignment of linesOf(alignfile, signal)) {
      const sourceIds = idsOf(source, await nextLine(sources, alignfile, line));
      const targetIds = idsOf(target, await nextLine(targets, alignfile, line));
      countPairs(pairs, sourceIds, targetIds, alignment, { unk: source.unk, path: alignfile, line });
      line++;
    }
    if ((await sources.next()).done !== true || (await targets.next()).done !== true)
      throw tooFew(alignfile, line);
  } finally {
    // Closes their files, of which not all may have been read.
    await Promise.all([sources.return(undefined), targets.return(undefined)]);
  }
  const lines = Array.from(
    pairs,
    ([id, counts]) => `${source.symbol(id)} ${target.symbol(mostFrequent(counts))}\n`,
  );
  const name = `alignment.${shownLanguage(sourceLang)}-${shownLanguage(targetLang)}.txt`;
  await writeFileAtomic(join(destdir, name), lines.join(''));
}

/** Lines of a text, as words. */
async function* linesOf(name: string, signal: AbortSignal | undefined): AsyncGenerator<string[]> {
  for (const { path, size } of (await findInput(name)).files) {
    yield* readLines({ path, start: 0, end: size }, signal);
  }
}

function idsOf(dictionary: Dictionary, words: readonly string[]): number[] {
  return words.map((word) => dictionary.index(word));
}

async function nextLine(lines: AsyncGenerator<string[]>, path: string, line: number): Promise<string[]> {
  const next = await lines.next();
  if (next.done !== true) return next.value;
  throw new BinarizerError('ALIGNMENT_FORMAT', `${path}:${line}: the text has only ${line - 1} lines`, {
    hint: 'The alignments belong to another text; there must be one line for each line of the text.',
    details: { path, line },
  });
}

function tooFew(path: string, line: number): BinarizerError {
  return new BinarizerError('ALIGNMENT_FORMAT', `${path}: ends before line ${line}, which the text has`, {
    hint: 'The alignments belong to another text; there must be one line for each line of the text.',
    details: { path, line },
  });
}

function countPairs(
  pairs: Map<number, Map<number, number>>,
  sourceIds: readonly number[],
  targetIds: readonly number[],
  alignment: readonly string[],
  { unk, path, line }: { unk: number; path: string; line: number },
): void {
  for (const text of alignment) {
    const [s, t] = parsePair(text, path, line);
    if (s >= sourceIds.length || t >= targetIds.length) throw beyondLine(path, line, text);
    if (sourceIds[s] === unk || targetIds[t] === unk) continue;
    const counts = pairs.get(sourceIds[s]) ?? new Map<number, number>();
    pairs.set(sourceIds[s], counts);
    counts.set(targetIds[t], (counts.get(targetIds[t]) ?? 0) + 1);
  }
}

function beyondLine(path: string, line: number, text: string): BinarizerError {
  return new BinarizerError(
    'ALIGNMENT_FORMAT',
    `${path}:${line}: '${text}' points beyond the words of the line`,
    {
      hint: 'The alignments belong to another text.',
      details: { path, line, found: text },
    },
  );
}

function mostFrequent(counts: Map<number, number>): number {
  let best = -1;
  for (const [id, count] of counts) if (best < 0 || count > (counts.get(best) ?? 0)) best = id;
  return best;
}
