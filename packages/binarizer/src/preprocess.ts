import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CancelledError, ensureFolder, type TaskOptions } from '@knn-lm/common';
import { encodeAlignmentFiles, writeLexicalDictionary } from './alignments.js';
import { removeParts, storageOf } from './dataset-writer.js';
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
import { encodeText } from './text-encoder.js';
import { STANDARD_INPUT } from './text-source.js';
import { SharedTable } from './shared-table.js';
import { isDataOf, planTokenizer, writeTokenizer, type TokenizerPlan } from './tokenizer-data.js';
import { TextThreads } from './text-threads.js';
import { tokenizeText, type TokenizedText } from './tokenized-text.js';

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
 * A text is read once: its words get provisional ids, which a temporary file beside the output keeps (4 bytes a token) and
 * which become those of the dictionary when that is known. Memory: the dictionary, and a few megabytes for each thread,
 * whatever the size of the texts. A file gets its name when it is complete; when the task fails or is stopped, nothing
 * temporary is left.
 *
 * With `tokenizer` a model's tokenizer gives the ids, and the dictionary is a list of its tokens: see {@link readTokenMap}.
 *
 * @param options - as the command line's
 * @param task - signal, progress (`bytes` of text) and logger
 * @throws {@link BinarizerError} `DICTIONARY_EXISTS` when the folder has a dictionary already and none was given,
 * `OPTION_…`, `TEXT_…`, `DICTIONARY_…`, `ALIGNMENT_…`, `TOKENIZER_…`
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
  const tokenizer = await tokenizerOf(checked);
  for (const side of sides) await refuseToReplace(side, checked, tokenizer);
  if (tokenizer === undefined) requireTraining(checked);
  refuseToReadTwice(checked);
  const texts = await findTexts(checked);
  const threads = new TextThreads(checked.workers);
  const run: Run = {
    options: checked,
    tokenizer,
    threads,
    log,
    task,
    tokenized: new Map(),
    tables: new Map(),
    finished: [],
  };
  try {
    return await writeAll(texts, run);
  } catch (error) {
    await run.saving?.catch(() => undefined);
    throw error instanceof CancelledError ? whatIsLeft(error, run) : error;
  } finally {
    await threads.close();
    for (const { text } of run.tokenized.values()) await removeParts(text.parts);
  }
}

async function writeAll(texts: readonly SplitText[][], run: Run): Promise<PreprocessResult> {
  const { options, log, task } = run;
  const { destdir, sides } = options;
  const dictionaries = await makeDictionaries(run);
  const save = () => (run.saving ??= saveDictionaries(dictionaries, run));
  const splits: WrittenSplit[] = [];
  for (const [i, side] of sides.entries()) {
    for (const text of texts[i]) splits.push(...(await writeSplit(text, side, dictionaries[i], save, run)));
  }
  await save();
  if (options.dictOnly !== true) {
    await encodeAlignmentFiles(options, log, task.signal);
    await log.line(`Wrote preprocessed data to ${destdir}`);
    await writeLexicalDictionary(options, dictionaries, task.signal);
  }
  return { destdir, dictionary: dictionaries[0], targetDictionary: dictionaries.at(1), splits };
}

async function saveDictionaries(
  dictionaries: readonly Dictionary[],
  { options, tokenizer, finished }: Run,
): Promise<void> {
  for (const [i, side] of options.sides.entries()) {
    const path = dictionaryPath(side, options);
    await dictionaries[i].save(path);
    finished.push(path);
  }
  if (tokenizer !== undefined) await writeTokenizer(options.destdir, tokenizer);
}

function whatIsLeft({ message, cause }: CancelledError, { finished, options }: Run): CancelledError {
  const left = finished.length === 0 ? 'nothing was written' : `finished and whole: ${finished.join(', ')}`;
  const hint =
    finished.length === 0
      ? 'Run the same command to begin again.'
      : `To begin again, remove the dictionary; to go on with it, give it with --srcdict.`;
  return new CancelledError(`preprocessing ${message}; ${left}`, {
    hint,
    details: { path: options.destdir },
    cause,
  });
}

/** A training text, and what its ids become in the dictionary that was made of it. */
interface CountedText {
  readonly text: TokenizedText;
  readonly ids: Int32Array;
}

/** What the steps of one run share. */
interface Run {
  readonly options: CheckedPreprocessOptions;
  /** Gives the ids, instead of a dictionary of words. */
  readonly tokenizer: TokenizerPlan | undefined;
  readonly threads: TextThreads;
  readonly log: PreprocessLog;
  readonly task: TaskOptions;
  /** Training texts that were tokenized to make a dictionary: they are not read again. See {@link trainingKey}. */
  readonly tokenized: Map<string, CountedText>;
  /** The dictionaries as threads look words up in them. */
  readonly tables: Map<Dictionary, SharedTable>;
  /** The dictionaries are being written, beside the first dataset, which gets its name after them; or have been. */
  saving?: Promise<void>;
  /** Files that have their names. */
  readonly finished: string[];
}

function dictionaryPath(side: Side, options: CheckedPreprocessOptions): string {
  return `${destinationPath('dict', side.lang, options.destdir)}.txt`;
}

function tokenizerOf(options: CheckedPreprocessOptions): Promise<TokenizerPlan> | undefined {
  const { tokenizer: path, tokenizerEos: eos, tokenizerKeepNewlines: keepsNewlines = false } = options;
  return path === undefined ? undefined : planTokenizer({ path, eos, keepsNewlines });
}

async function refuseToReplace(
  side: Side,
  options: CheckedPreprocessOptions,
  tokenizer: TokenizerPlan | undefined,
): Promise<void> {
  const path = dictionaryPath(side, options);
  if (side.dictionaryPath || !existsSync(path)) return;
  if (tokenizer !== undefined && (await isDataOf(tokenizer, options.destdir))) return;
  throw new BinarizerError('DICTIONARY_EXISTS', `${path}: there is a dictionary already`, {
    hint:
      tokenizer === undefined
        ? `Remove it, choose another --destdir, or use it with --${side.name}dict ${path}.`
        : 'It was made in another way than is asked for now: choose another --destdir, or remove what is there.',
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

/** Standard input can be read once; what is read for the dictionary is kept as ids, but not as text. */
function refuseToReadTwice(options: CheckedPreprocessOptions): void {
  const names = options.sides.flatMap((side) =>
    splitsOf(options).map(({ prefix }) => inputName(prefix, side.lang)),
  );
  const buildsAndCopies =
    options.trainpref === STANDARD_INPUT &&
    ((options.datasetImpl === 'raw' && options.sides.some((side) => !side.dictionaryPath)) ||
      Boolean(options.alignfile));
  const times = names.filter((name) => name === STANDARD_INPUT).length + Number(buildsAndCopies);
  if (times <= 1) return;
  throw new BinarizerError('OPTION_CONFLICT', `standard input (-) can be read once, not ${times} times`, {
    hint: 'Write the text to a file first.',
    details: { option: 'trainpref', found: times, expected: 1 },
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

async function makeDictionaries(run: Run): Promise<Dictionary[]> {
  const { sides, joinedDictionary, srcdict, tgtdict, sourceLang, targetLang } = run.options;
  if (run.tokenizer !== undefined) return [run.tokenizer.dictionary];
  if (joinedDictionary) {
    const given = [srcdict, tgtdict].find(Boolean);
    const languages = [sourceLang, targetLang];
    const dictionary = given ? await Dictionary.load(given) : await buildDictionary(languages, sides[0], run);
    return sides.map(() => dictionary);
  }
  const dictionaries: Dictionary[] = [];
  for (const side of sides) {
    const { dictionaryPath: given } = side;
    dictionaries.push(given ? await Dictionary.load(given) : await buildDictionary([side.lang], side, run));
  }
  return dictionaries;
}

/** Builds the dictionary of the training texts in some languages. */
async function buildDictionary(
  languages: readonly (string | undefined)[],
  side: Side,
  { options, threads, task, tokenized }: Run,
): Promise<Dictionary> {
  const { threshold, nwords } = side;
  const { trainpref = '', paddingFactor, dictOnly, datasetImpl, leastBytesPerWorker, destdir } = options;
  const keepAt = dictOnly === true || datasetImpl === 'raw' ? undefined : join(destdir, 'train');
  const words = SharedTable.forText();
  const how = { keepAt, leastBytesPerWorker, stage: 'count words', idsFrom: { words, isCounting: true } };
  const texts = new Map<string, TokenizedText>();
  for (const name of new Set(languages.map((lang) => inputName(trainpref, lang)))) {
    const text = await tokenizeText(await findInput(name), how, threads, task);
    tokenized.set(trainingKey(name, side, options), { text, ids: new Int32Array(0) });
    texts.set(name, text);
  }
  const { dictionary, ids } = Dictionary.fromCounts(words, { threshold, nwords, paddingFactor });
  for (const [name, text] of texts) tokenized.set(trainingKey(name, side, options), { text, ids });
  return dictionary;
}

/** Two sides may have one text, but each has its own dictionary, unless that is joined. */
function trainingKey(name: string, side: Side, { joinedDictionary }: CheckedPreprocessOptions): string {
  return `${joinedDictionary ? 'joined' : side.name} ${name}`;
}

async function writeSplit(
  { split, text }: SplitText,
  side: Side,
  dictionary: Dictionary,
  save: () => Promise<void>,
  { options, tokenizer, threads, log, task, tokenized, tables, finished }: Run,
): Promise<WrittenSplit[]> {
  const { datasetImpl, destdir, sourceLang, targetLang, leastBytesPerWorker } = options;
  if (datasetImpl === 'raw') {
    const name = `${split}.${shownLanguage(sourceLang)}-${shownLanguage(targetLang)}`;
    await copyText(text, destinationPath(name, side.lang, destdir), task.signal);
    return [];
  }
  await log.line(`[${shownLanguage(side.lang)}] Dictionary: ${dictionary.size} types`);
  const prefix = datasetPrefix(split, side.lang, options);
  const storage = storageOf(datasetImpl, dictionary.size);
  const known = split === 'train' ? tokenized.get(trainingKey(text.name, side, options)) : undefined;
  const how = { keepAt: prefix, leastBytesPerWorker, stage: 'encode' };
  const idsFrom = () =>
    tokenizer === undefined
      ? { words: sharedTable(dictionary, tables), isCounting: false }
      : { tokenizer: tokenizer.task };
  const read = known?.text ?? (await tokenizeText(text, { ...how, idsFrom: idsFrom() }, threads, task));
  try {
    const summary = await encodeText(read, known?.ids, prefix, storage, threads, task, save);
    await log.line(summaryLine(side.lang, text.name, summary));
    finished.push(`${prefix}.bin`, `${prefix}.idx`);
    return [{ split, input: text.name, prefix, ...summary }];
  } finally {
    // Two sides may need a training text; it is removed at the end.
    if (known === undefined) await removeParts(read.parts);
  }
}

function sharedTable(dictionary: Dictionary, tables: Map<Dictionary, SharedTable>): SharedTable {
  const table = tables.get(dictionary) ?? SharedTable.of(dictionary.words);
  tables.set(dictionary, table);
  return table;
}
