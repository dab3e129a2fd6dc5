import { existsSync } from 'node:fs';
import { ensureFolder, type TaskOptions } from '@knn-lm/common';
import { encodeAlignmentFiles, writeLexicalDictionary } from './alignments.js';
import { storageOf } from './dataset-writer.js';
import { Dictionary } from './dictionary.js';
import { BinarizerError } from './errors.js';
import { findInput, type InputText } from './input-files.js';
import { copyText } from './copy-text.js';
import { PreprocessLog, shownLanguage, summaryLine, type TextSummary } from './preprocess-log.js';
import {
  checkPreprocessOptions,
  type CheckedPreprocessOptions,
  type PreprocessOptions,
  type Side,
} from './preprocess-options.js';
import { datasetPrefix, destinationPath, inputName, splitsOf } from './preprocess-paths.js';
import { countWords, encodeText } from './text-encoder.js';

/** A split that was written. */
export interface WrittenSplit extends TextSummary {
  /** `train`, `valid`, `valid1`… */
  readonly split: string;
  /** The text, as it was given. */
  readonly input: string;
  /** Path without suffix. */
  readonly prefix: string;
}

/** What {@link preprocess} did. */
export interface PreprocessResult {
  /** The folder. */
  readonly destdir: string;
  /** Dictionary of the source. */
  readonly dictionary: Dictionary;
  /** Dictionary of the target, unless only the source was asked for. */
  readonly targetDictionary: Dictionary | undefined;
  /** Binary datasets, in the order in which they were written; none of `raw` and of `dictOnly`. */
  readonly splits: readonly WrittenSplit[];
}

/**
 * Builds a dictionary and encodes texts: all of `fairseq-preprocess`, with the same files, byte for byte, and the same
 * log lines (to `task.logger` and into `preprocess.log`).
 *
 * Memory: the dictionary and a few megabytes for each thread, whatever the size of the texts. A file gets its name when it
 * is complete.
 *
 * @param options - as the command line's
 * @param task - signal, progress (`bytes` of text) and logger
 * @throws {@link BinarizerError} `DICTIONARY_EXISTS` when the folder has a dictionary already and none was given,
 * `OPTION_…`, `TEXT_…`, `DICTIONARY_…`, `ALIGNMENT_…`
 * @throws KnnLmError `FILE_…`; CancelledError
 *
 * @example
 * ```ts
 * await preprocess({ onlySource: true, trainpref: 'wiki.train.tokens', testpref: 'wiki.test.tokens', destdir: 'data-bin' });
 * ```
 */
export async function preprocess(
  options: PreprocessOptions,
  task: TaskOptions = {},
): Promise<PreprocessResult> {
  const checked = checkPreprocessOptions(options);
  const { destdir, sides } = checked;
  await ensureFolder(destdir);
  const log = new PreprocessLog(destdir, task.logger);
  if (checked.argumentDump !== undefined) await log.line(checked.argumentDump);
  for (const side of sides) refuseToReplace(side, checked);
  requireTraining(checked);
  const texts = await findTexts(checked);
  const dictionaries = await makeDictionaries(checked, task);
  for (const [i, side] of sides.entries()) await dictionaries[i].save(dictionaryPath(side, checked));
  const result = { destdir, dictionary: dictionaries[0], targetDictionary: dictionaries.at(1) };
  if (checked.dictOnly === true) return { ...result, splits: [] };
  const splits: WrittenSplit[] = [];
  for (const [i, side] of sides.entries()) {
    for (const text of texts[i]) {
      splits.push(...(await writeSplit(text, side, dictionaries[i], checked, log, task)));
    }
  }
  await encodeAlignmentFiles(checked, log);
  await log.line(`Wrote preprocessed data to ${destdir}`);
  await writeLexicalDictionary(checked, dictionaries);
  return { ...result, splits };
}

function dictionaryPath(side: Side, options: CheckedPreprocessOptions): string {
  return `${destinationPath('dict', side.lang, options.destdir)}.txt`;
}

function refuseToReplace(side: Side, options: CheckedPreprocessOptions): void {
  const path = dictionaryPath(side, options);
  if (side.dictionaryPath || !existsSync(path)) return;
  throw new BinarizerError('DICTIONARY_EXISTS', `${path}: there is a dictionary already`, {
    hint: `Remove it, choose another --destdir, or use it with --${side.name}dict ${path}.`,
    details: { path },
  });
}

/** A dictionary is either given or built of the training text. */
function requireTraining(options: CheckedPreprocessOptions): void {
  if (options.trainpref) return;
  const isShared = options.joinedDictionary && Boolean(options.srcdict || options.tgtdict);
  const missing = isShared ? undefined : options.sides.find((side) => !side.dictionaryPath);
  if (missing === undefined) return;
  const message = `--trainpref must be set if --${missing.name}dict is not specified`;
  throw new BinarizerError('OPTION_MISSING', message, {
    hint: 'Give the training text, of which the dictionary is made, or a dictionary.',
    details: { option: 'trainpref' },
  });
}

interface SplitText {
  readonly split: string;
  readonly text: InputText;
}

/** All texts of all sides, found before anything long is begun. */
function findTexts(options: CheckedPreprocessOptions): Promise<SplitText[][]> {
  const find = (side: Side) =>
    splitsOf(options).map(async ({ split, prefix }) => ({
      split,
      text: await findInput(inputName(prefix, side.lang)),
    }));
  return Promise.all(options.sides.map((side) => Promise.all(options.dictOnly === true ? [] : find(side))));
}

async function makeDictionaries(options: CheckedPreprocessOptions, task: TaskOptions): Promise<Dictionary[]> {
  const { sides, trainpref = '', paddingFactor } = options;
  const build = async (from: readonly Side[], { threshold, nwords }: Side) => {
    const names = new Set(from.map((side) => inputName(trainpref, side.lang)));
    const { table, counts } = await countWords(await Promise.all([...names].map(findInput)), options, task);
    return Dictionary.fromCounts({ table, counts }, { threshold, nwords, paddingFactor });
  };
  if (options.joinedDictionary) {
    const given = [options.srcdict, options.tgtdict].find(Boolean);
    const languages = [options.sourceLang, options.targetLang].map((lang) => ({ ...sides[0], lang }));
    const dictionary = given ? await Dictionary.load(given) : await build(languages, sides[0]);
    return sides.map(() => dictionary);
  }
  const dictionaries: Dictionary[] = [];
  for (const side of sides) {
    dictionaries.push(
      side.dictionaryPath ? await Dictionary.load(side.dictionaryPath) : await build([side], side),
    );
  }
  return dictionaries;
}

async function writeSplit(
  { split, text }: SplitText,
  side: Side,
  dictionary: Dictionary,
  options: CheckedPreprocessOptions,
  log: PreprocessLog,
  task: TaskOptions,
): Promise<WrittenSplit[]> {
  const { datasetImpl, destdir, sourceLang, targetLang } = options;
  if (datasetImpl === 'raw') {
    const name = `${split}.${shownLanguage(sourceLang)}-${shownLanguage(targetLang)}`;
    await copyText(text, destinationPath(name, side.lang, destdir));
    return [];
  }
  await log.line(`[${shownLanguage(side.lang)}] Dictionary: ${dictionary.size} types`);
  const prefix = datasetPrefix(split, side.lang, options);
  const storage = storageOf(datasetImpl, dictionary.size);
  const summary = await encodeText(text, dictionary, prefix, storage, options, task);
  await log.line(summaryLine(side.lang, text.name, summary));
  return [{ split, input: text.name, prefix, ...summary }];
}
